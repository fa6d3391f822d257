#!lua
-- Chores hands out work that is done in slices (laying out, fanning out, cancelling) and keeps it from others for a
-- while. Its holder may die: then it is handed out again, and the cursor says where to go on.
-- KEYS  1 chores
-- ARGV  1 how long it is kept from others, in ms  2 how many at most
-- Returns a list of {chore, cursor, production}; a chore without a cursor is over and was removed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tag = string.match(KEYS[1], '^{[^}]*}')
local out = {}
for _, chore in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local id = string.match(chore, '^[^/]+/([^/]+)')
  local at = redis.call('HMGET', tag .. ':d:' .. id, 'c:' .. chore, 'production')
  if at[1] then
    redis.call('ZADD', KEYS[1], now + ARGV[1], chore)
    out[#out + 1] = {chore, at[1], at[2]}
  else
    redis.call('ZREM', KEYS[1], chore)
  end
end
return out
