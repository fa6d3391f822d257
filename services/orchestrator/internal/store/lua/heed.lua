#!lua
-- Heed draws from what happened to a step what it says of a resource that it used: a failure counts against its circuit
-- breaker, a throttle makes the whole resource back off, a success closes the breaker.
-- KEYS  1 resource  2 failures that were counted
-- ARGV  1 ok, fail, throttle; used: by a step that runs; well: said by a check; reset  2 how long to back off, in ms  3 code  4 sentence
--       5 what failed, or '': the same, told again within ten minutes, counts once
-- Returns 1 if it may be used now, else 0; nothing is done to one that does not exist.
local resource, counted = unpack(KEYS)
local r = redis.call('HMGET', resource, 'kind', 'fails', 'trial', 'breaker', 'open', 'till', 'idle', 'used', 'st')
if not r[1] then
  return 1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local till = tonumber(r[6]) or 0
local step = ARGV[1] ~= 'well' and ARGV[1] ~= 'reset'
local idle = tonumber(r[7]) or 0
if step and idle > 0 and now - (tonumber(r[8]) or 0) > math.min(idle / 4, 1000) then
  redis.call('HSET', resource, 'used', now)
end
if ARGV[1] == 'used' then
  return 1
end
if ARGV[1] == 'reset' then
  redis.call('HDEL', resource, 'fails', 'trial', 'till')
  if r[9] == 'failed' then
    redis.call('HSET', resource, 'st', 'absent')
  end
  return 1
end
if ARGV[1] == 'ok' or ARGV[1] == 'well' then
  if r[3] or (tonumber(r[2]) or 0) > 0 then
    -- A check knows that it is well now; a step may have begun before it was not.
    redis.call('HDEL', resource, 'fails', 'trial', ARGV[1] == 'well' and r[3] and 'till' or 'fails')
  end
  return 1
end
redis.call('HSET', resource, 'code', ARGV[3], 'msg', ARGV[4])
if ARGV[1] == 'throttle' then
  redis.call('HSET', resource, 'till', math.max(till, now + ARGV[2]))
  return 0
end
if ARGV[5] ~= '' then
  if redis.call('ZADD', counted, 'NX', now, ARGV[5]) == 0 then
    return till > now and 0 or 1
  end
  redis.call('ZREMRANGEBYRANK', counted, 0, -1001)
  redis.call('EXPIRE', counted, 600)
end
local fails = redis.call('HINCRBY', resource, 'fails', 1)
if r[3] or fails >= (tonumber(r[4]) or 5) then
  -- Open for a while; then one may try, and what becomes of it decides.
  redis.call('HSET', resource, 'trial', 1, 'till', math.max(till, now + (tonumber(r[5]) or 30000)))
  return 0
end
return till > now and 0 or 1
