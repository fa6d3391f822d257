#!lua
-- Halt pauses a batch, or lets it go on. Doing so again is harmless.
-- KEYS  1 batch  2 batches under way
-- ARGV  1 batch id  2 production  3 '1' to pause, '' to go on  4 how long it is kept, in s
-- Returns 1 done, or so already, 3 it is done, 4 there is none in that production.
local batch, running = unpack(KEYS)
local about = redis.call('HMGET', batch, 'state', 'production')
if about[2] ~= ARGV[2] then
  return 4
end
if about[1] == 'done' then
  return 3
end
if ARGV[3] == '1' then
  redis.call('HSET', batch, 'state', 'paused')
  redis.call('ZREM', running, ARGV[1])
elseif about[1] == 'paused' then
  local time = redis.call('TIME')
  redis.call('HSET', batch, 'state', 'running')
  redis.call('ZADD', running, time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
end
redis.call('EXPIRE', batch, ARGV[4])
return 1
