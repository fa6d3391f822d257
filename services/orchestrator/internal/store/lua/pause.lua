#!lua
-- Pause stops handing out a distribution's steps, or lets it go on, and leaves queueing them again to a chore.
-- KEYS  1 distribution  2 its events  3 chores  4 changed
-- ARGV  1 distribution id  2 '1' to pause, '' to go on  3 chore that queues its steps  4 production  5 who asked
--       6… final states
-- Returns 1 done, 2 it was so already, 3 the distribution has ended, 4 there is none in that production.
local dist, events, chores, changed = unpack(KEYS)
local pause = ARGV[2] == '1'
local about = redis.call('HMGET', dist, 'state', 'pause', 'production')
if about[3] ~= ARGV[4] then
  return 4
end
for i = 6, #ARGV do
  if about[1] == ARGV[i] then
    return 3
  end
end
if pause == (about[2] and true or false) then
  return 2
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if pause then
  redis.call('HSET', dist, 'pause', now)
else
  redis.call('HDEL', dist, 'pause')
end
-- One that is still laid out gets its state when that is done.
if about[1] == 'running' or about[1] == 'paused' then
  redis.call('HSET', dist, 'state', pause and 'paused' or 'running')
  if not pause then
    redis.call('HSET', dist, 'c:' .. ARGV[3], '0')
    redis.call('ZADD', chores, now, ARGV[3])
  end
end
redis.call('HINCRBY', dist, 'ver', 1)
redis.call('XADD', events, '*', 'k', pause and 'paused' or 'resumed', 'w', ARGV[5])
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', ARGV[1], 'p', ARGV[4])
return 1
