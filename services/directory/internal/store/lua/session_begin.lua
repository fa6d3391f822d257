#!lua
-- Begins a session of somebody who proved elsewhere who they are.
-- KEYS 1 session record
-- ARGV 1 sha256 of the session's secret, 2 subject, 3 role, 4 productions as a JSON list, 5 way,
--      6 milliseconds for which a session lasts unused, 7 milliseconds for which it lasts at most
-- Returns {code}
--   begun  the session is there, by this call or by one before it
local session = KEYS[1]
local sha256, subject, role, productions, way, idle, life = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

if redis.call('EXISTS', session) == 1 then
  return {'begun'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = string.format('%.0f', now + math.min(idle, life))
redis.call('HSET', session, 'sha256', sha256, 'subject', subject, 'role', role, 'productions', productions, 'way', way,
  'created', string.format('%.0f', now), 'seen', string.format('%.0f', now), 'until', string.format('%.0f', now + life), 'expires', expires)
redis.call('PEXPIREAT', session, expires)
return {'begun'}
