#!lua
-- Create makes a distribution visible whose recipients were staged before, or finds the one that the same key made.
-- KEYS  1 distribution  2 its events  3 spec  4 staged recipients  5 idempotency key  6 the production's list
--       7 chores  8 open  9 changed
-- ARGV  1 distribution id  2 hash of the request  3 how long the idempotency key is kept, in s  4 spec
--       5 deadline: ms after now  6 layout chore  7 undo window in ms  8… fields of the distribution and their values
-- Returns {1, id} created, {2, id} the same request made this one before, {3, id} another request used the key.
local dist, events, spec, staged, idem, list, chores, open, changed = unpack(KEYS)
local id, hash = ARGV[1], ARGV[2]
local was = redis.call('HMGET', idem, 'd', 'h')
if was[1] then
  return {was[2] == hash and 2 or 3, was[1]}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', idem, 'd', id, 'h', hash)
redis.call('EXPIRE', idem, ARGV[3])
redis.call('HSET', dist, 'created', now, 'deadline', now + ARGV[5], 'c:' .. ARGV[6], '0', unpack(ARGV, 8))
if tonumber(ARGV[7]) > 0 then
  redis.call('HSET', dist, 'hold', now + ARGV[7])
end
redis.call('SET', spec, ARGV[4])
redis.call('PERSIST', staged)
redis.call('ZADD', list, now, id)
redis.call('ZADD', open, now, id)
redis.call('ZADD', chores, now, ARGV[6])
redis.call('XADD', events, '*', 'k', 'accepted')
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', redis.call('HGET', dist, 'production'))
return {1, id}
