#!lua
-- Lifecycle makes one move in the life of a resource, if nothing else moved it meanwhile and, where that matters, nobody has
-- a place in it. What the move is was decided by whoever calls.
-- KEYS  1 resource  2 its holders
-- ARGV  1 how many moves the caller knows of  2 'unused' if nobody may have a place, or '-'  3 'remove' to forget it, or '-'
--       4 fields that go, as a list  5… fields and their values
-- Returns 1, or 0 when it was not to be.
local resource, held = unpack(KEYS)
local about = redis.call('HMGET', resource, 'kind', 'moves')
if not about[1] or (about[2] or '0') ~= ARGV[1] then
  return 0
end
if ARGV[2] == 'unused' then
  local time = redis.call('TIME')
  redis.call('ZREMRANGEBYSCORE', held, '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
  if redis.call('EXISTS', held) == 1 then
    return 0
  end
end
if ARGV[3] == 'remove' then
  redis.call('DEL', resource)
  return 1
end
for _, field in ipairs(cjson.decode(ARGV[4])) do
  redis.call('HDEL', resource, field)
end
redis.call('HSET', resource, 'moves', ARGV[1] + 1, unpack(ARGV, 5))
return 1
