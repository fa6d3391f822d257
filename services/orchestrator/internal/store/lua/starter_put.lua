#!lua
-- Keeps what starts distributions, a schedule or a webhook, in place of what there was under its name. A schedule whose
-- times stay what they were keeps its next run, so that one which is due at this moment is not lost.
-- KEYS  1 record  2 names of all of its kind in the production  3 clock
-- ARGV  1 name  2 member of the clock  3 what decides when it runs  4 its next run in ms, or '' for none
--       5 how many there may be  6 how many bytes all that they start may have  7… fields of the record and their values
-- Returns 1 kept, and it was there, 2 kept, and it is new, 3 there are as many as there may be, 4 it is too large.
local record, names, clock = unpack(KEYS)
local name, member, timing, next = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local was = redis.call('HMGET', record, 'timing', 'next')
if not was[1] and redis.call('SCARD', names) >= tonumber(ARGV[5]) then
  return 3
end
local size, others = 0, string.sub(record, 1, #record - #name)
for i = 7, #ARGV, 2 do
  if ARGV[i] == 'start' then
    size = size + #ARGV[i + 1]
  end
end
for _, other in ipairs(redis.call('SMEMBERS', names)) do
  if other ~= name then
    size = size + redis.call('HSTRLEN', others .. other, 'start')
  end
end
if size > tonumber(ARGV[6]) then
  return 4
end
redis.call('SADD', names, name)
redis.call('HSET', record, 'timing', timing, unpack(ARGV, 7))
if was[1] == timing and was[2] and next ~= '' then
  redis.call('ZADD', clock, 'NX', was[2], member)
elseif next == '' then
  redis.call('HDEL', record, 'next')
  redis.call('ZREM', clock, member)
else
  redis.call('HSET', record, 'next', next)
  redis.call('ZADD', clock, next, member)
end
return was[1] and 1 or 2
