#!lua
-- Uses a code up and begins a session with what the code is for.
-- KEYS 1 sign-in record, 2 session record
-- ARGV 1 sha256 of the code, 2 sha256 of the session's secret, 3 the session's id,
--      4 milliseconds for which a session lasts unused, 5 milliseconds for which it lasts at most
-- Returns {code}
--   begun    the session is there, by this call or by one before it for the same session
--   unknown  there is no such code, its time has passed, or another session has used it
local code, session = KEYS[1], KEYS[2]
local codeSHA256, sessionSHA256, id, idle, life = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local have = redis.call('HMGET', code, 'sha256', 'role', 'productions', 'used', 'expires')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if have[1] ~= codeSHA256 or now >= tonumber(have[5]) then
  return {'unknown'}
end
if have[4] then
  -- A session that was signed out of since does not begin again.
  if have[4] == sessionSHA256 and redis.call('EXISTS', session) == 1 then
    return {'begun'}
  end
  return {'unknown'}
end
local expires = string.format('%.0f', now + math.min(idle, life))
redis.call('HSET', code, 'used', sessionSHA256)
redis.call('HSET', session, 'sha256', sessionSHA256, 'subject', id, 'role', have[2], 'productions', have[3], 'way', 'code',
  'created', string.format('%.0f', now), 'seen', string.format('%.0f', now), 'until', string.format('%.0f', now + life), 'expires', expires)
redis.call('PEXPIREAT', session, expires)
return {'begun'}
