#!lua
-- Batches hands out batches under way and keeps them from others for a while. Their holder may die: then they are handed
-- out again, and the cursor says where to go on.
-- KEYS  1 batches under way
-- ARGV  1 how long they are kept from others, in ms  2 how many at most
-- Returns a list of {batch, production}; one that is not under way any more was removed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tag = string.match(KEYS[1], '^{[^}]*}')
local out = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local about = redis.call('HMGET', tag .. ':b:' .. id, 'state', 'production')
  if about[1] == 'running' then
    redis.call('ZADD', KEYS[1], now + ARGV[1], id)
    out[#out + 1] = {id, about[2]}
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return out
