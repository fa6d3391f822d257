#!lua
-- Enlist makes a batch, or finds the one that the same key made.
-- KEYS  1 batch  2 idempotency key  3 the production's batches  4 batches under way  5 the production's distributions
-- ARGV  1 batch id  2 hash of the request  3 how long the idempotency key is kept, in s  4 how long the batch is, in s
--       5… fields of the batch and their values
-- Returns {1, id} made, {2, id} the same request made this one before, {3, id} another request used the key.
local batch, idem, list, running, distributions = unpack(KEYS)
local was = redis.call('HMGET', idem, 'd', 'h')
if was[1] then
  return {was[2] == ARGV[2] and 2 or 3, was[1]}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', idem, 'd', ARGV[1], 'h', ARGV[2])
redis.call('EXPIRE', idem, ARGV[3])
redis.call('HSET', batch, 'created', now, 'state', 'running', 'cursor', '', 'total', redis.call('ZCOUNT', distributions, '-inf', now),
  unpack(ARGV, 5))
redis.call('EXPIRE', batch, ARGV[4])
-- What was kept long enough leaves the list, too; oldest first, and a few at a time.
local tag = string.match(batch, '^{[^}]*}')
for _, old in ipairs(redis.call('ZRANGE', list, 0, 9)) do
  if redis.call('EXISTS', tag .. ':b:' .. old) == 0 then
    redis.call('ZREM', list, old)
  end
end
redis.call('ZADD', list, now, ARGV[1])
redis.call('ZADD', running, now, ARGV[1])
return {1, ARGV[1]}
