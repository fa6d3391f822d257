#!lua
-- Define keeps a version of a definition in one shard. A version never changes.
-- KEYS  1 versions of the definition  2 all definitions
-- ARGV  1 name  2 version  3 source  4 functions that it calls, with blanks between  5 how many versions of all there may be
-- Returns 1 when it is kept, now or before, 2 when another source is kept under this version, 3 when there are too many.
local versions, all = unpack(KEYS)
local name, version, source, functions, most = unpack(ARGV)
local kept = redis.call('HGET', versions, version)
if kept and kept ~= source then
  return 2
end
if not kept then
  if redis.call('SCARD', all) >= tonumber(most) then
    return 3
  end
  local time = redis.call('TIME')
  redis.call('HSET', versions, version, source, version .. '.at', time[1] * 1000 + math.floor(time[2] / 1000))
end
redis.call('HSET', versions, version .. '.fn', functions)
-- Yesterday's orchestrators know no list: what they kept enters it here.
for _, field in ipairs(redis.call('HKEYS', versions)) do
  if string.match(field, '^%d+$') then
    redis.call('SADD', all, name .. '@' .. field)
  end
end
return 1
