#!lua
-- Keeps what was told of a run, unless it had ended by what was told before.
-- KEYS  1 the run  2 its production's runs by when they were told of  3 all runs by when they were told of
-- ARGV  1 what is told  2 its state  3 its id  4 production/id  5 '1' when it ends the run  6 how long it is kept then, in s
-- Returns {1, ''} kept; {2, what was told before} it had ended, and nothing was kept.
local run, mine, all = unpack(KEYS)
local had = redis.call('HMGET', run, 'state', 'told', 'ended')
if had[3] then
  return {2, had[2]}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%d', now)
redis.call('HSET', run, 'state', ARGV[2], 'told', ARGV[1], 'at', stamp)
redis.call('ZADD', mine, stamp, ARGV[3])
redis.call('ZADD', all, stamp, ARGV[4])
if ARGV[5] == '1' then
  redis.call('HSET', run, 'ended', stamp)
end
-- What nobody tells of any more is forgotten, too.
redis.call('EXPIRE', run, ARGV[6])
return {1, ''}
