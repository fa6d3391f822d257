#!lua
-- Archived notes that an end of a distribution has been archived, and tells of it under the next number.
-- KEYS  1 done  2 numbers  3 archived
-- ARGV  1 production  2 distribution  3 its end, in ms  4 how many are told of
-- Returns the number.
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1] .. '/' .. ARGV[2])
local n = redis.call('INCR', KEYS[2])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], n .. '-0', 'p', ARGV[1], 'd', ARGV[2])
return n
