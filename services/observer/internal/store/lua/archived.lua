#!lua
-- Archived notes that an end of a distribution has been archived, and tells of it under the next number.
-- KEYS  1 done  2 numbers  3 archived  4 archives that the orchestrator is to be told of
-- ARGV  1 production  2 distribution  3 its end, in ms  4 how many are told of  5 what the orchestrator is told
-- Returns the number.
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1] .. '/' .. ARGV[2])
redis.call('HSET', KEYS[4], ARGV[1] .. '/' .. ARGV[2], ARGV[5])
local n = redis.call('INCR', KEYS[2])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], n .. '-0', 'p', ARGV[1], 'd', ARGV[2])
return n
