#!lua
-- Puts off the end of a session that is used, up to its last one.
-- KEYS 1 session record
-- ARGV 1 milliseconds for which a session lasts unused
-- Returns {code, when it ends unless it is used, in milliseconds since 1970}
--   used     it ends then
--   unknown  it is over; without a time
local session = KEYS[1]
local idle = tonumber(ARGV[1])

local last = redis.call('HGET', session, 'until')
if not last then
  return {'unknown'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = string.format('%.0f', math.min(now + idle, tonumber(last)))
redis.call('HSET', session, 'seen', string.format('%.0f', now), 'expires', expires)
redis.call('PEXPIREAT', session, expires)
return {'used', expires}
