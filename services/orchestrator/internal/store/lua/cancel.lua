#!lua
-- Cancel marks a distribution so that nothing of it starts any more, and leaves ending its steps to a chore.
-- KEYS  1 distribution  2 its events  3 chores  4 changed
-- ARGV  1 distribution id  2 cancel chore  3 production  4 who asked  5… final states
-- Returns 1 marked, 2 marked before, 3 the distribution has ended, 4 there is none in that production.
local dist, events, chores, changed = unpack(KEYS)
local about = redis.call('HMGET', dist, 'state', 'cancel', 'production')
if about[3] ~= ARGV[3] then
  return 4
end
for i = 5, #ARGV do
  if about[1] == ARGV[i] then
    return about[2] and 2 or 3
  end
end
if about[2] then
  return 2
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HINCRBY', dist, 'ver', 1)
redis.call('HSET', dist, 'cancel', now, 'c:' .. ARGV[2], '0')
redis.call('ZADD', chores, now, ARGV[2])
redis.call('XADD', events, '*', 'k', 'cancel_requested', 'w', ARGV[4])
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', ARGV[1], 'p', about[3])
return 1
