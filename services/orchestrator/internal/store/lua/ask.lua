#!lua
-- Ask begins a chore that makes steps of a distribution run again, or gives up what fails. It counts among what is open, so that the distribution
-- does not end before the chore does.
-- KEYS  1 distribution  2 its events  3 chores  4 changed  5 what retries under way are for  6 open  7 ended
-- ARGV  1 distribution id  2 chore  3 production  4 ask  5 choice  6 who asked  7 what for  8 first cursor
--       9 kind of the event  10… final states
-- Returns 1 begun, 2 the same is under way, 3 the distribution was cancelled, 4 there is none in that production.
local dist, events, chores, changed, asks, open, ended = unpack(KEYS)
local id, chore = ARGV[1], ARGV[2]
local about = redis.call('HMGET', dist, 'state', 'cancel', 'production', 'created', 'c:' .. chore)
if about[3] ~= ARGV[3] then
  return 4
end
if about[2] then
  return 3
end
if about[5] then
  return 2
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', asks, ARGV[4], ARGV[5])
redis.call('HSET', dist, 'c:' .. chore, ARGV[8])
redis.call('HINCRBY', dist, 'open', 1)
redis.call('ZADD', chores, now, chore)
for i = 10, #ARGV do
  if about[1] == ARGV[i] then
    redis.call('HSET', dist, 'state', 'running')
    redis.call('HDEL', dist, 'ended', 'pause')
    redis.call('ZADD', open, about[4], id)
    redis.call('ZREM', ended, id)
    local size = redis.call('HMGET', dist, 'counted', 'items')
    if size[1] == '0' then
      redis.call('HSET', dist, 'counted', '1')
      redis.call('INCRBY', string.match(dist, '^{[^}]*}') .. ':used:' .. about[3], size[2])
    end
  end
end
redis.call('HINCRBY', dist, 'ver', 1)
redis.call('XADD', events, '*', 'k', ARGV[9], 'w', ARGV[6], 't', ARGV[7])
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', about[3])
return 1
