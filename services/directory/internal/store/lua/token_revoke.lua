#!lua
-- Revokes a token. Its record stays, so that nothing makes the same secret valid again.
-- KEYS 1 token record
-- Returns {code}
--   revoked  it is revoked, by this call or before it
--   unknown  there is no such token
local record = KEYS[1]

if redis.call('EXISTS', record) == 0 then
  return {'unknown'}
end
local time = redis.call('TIME')
redis.call('HSETNX', record, 'revoked', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return {'revoked'}
