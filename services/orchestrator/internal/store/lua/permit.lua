#!lua
-- Permit takes places of a limit that productions share, for steps and for slots around a part of a task. Who has one keeps
-- it until it is given back, or until its lease is over.
-- KEYS  1 limit  2 its holders
-- ARGV  1 lease in ms  2… holders, at most 1000
-- Returns {how many of them, from the first, have a place now (those that had one are among them), when to try again for
--         the others in ms from now}.
local limit, held = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local r = redis.call('HMGET', limit, 'max', 'rate', 'burst', 'tat', 'till', 'trial', 'st')
local most, rate, till = tonumber(r[1]) or 0, tonumber(r[2]) or 0, tonumber(r[5]) or 0
if r[6] then
  most = 1
end
local every = rate > 0 and 1000 / rate or 0
local slack, tat = (math.max(tonumber(r[3]) or 1, 1) - 1) * every, tonumber(r[4]) or 0
redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
local taken = redis.call('ZCARD', held)
local closed = r[7] and r[7] ~= 'ready' -- a resource that is still to be made, or is going
local granted, again = 0, 1000
for i = 2, #ARGV do
  if not redis.call('ZSCORE', held, ARGV[i]) then
    local from = math.max(till, rate > 0 and tat - slack or 0)
    if closed then
      redis.call('HSET', limit, 'wanted', now)
      break
    end
    if from > now then
      again = from - now
      break
    end
    if most > 0 and taken >= most then
      break
    end
    taken = taken + 1
    if rate > 0 then
      tat = math.max(tat, now) + every
      redis.call('HSET', limit, 'tat', tat)
    end
  end
  redis.call('ZADD', held, now + ARGV[1], ARGV[i])
  granted = granted + 1
end
return {granted, math.ceil(again)}
