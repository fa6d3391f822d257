#!lua
-- Revokes a link. Of one whose record is not written yet, it sees to it that it never is.
-- KEYS 1 record
-- ARGV 1 milliseconds to keep the note for if there is no record
-- Returns {code}
--   ended    it was active, and this call ended it
--   expired  it had expired; it is revoked all the same
--   already  it was revoked before, or was never made
local record = KEYS[1]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local have = redis.call('HMGET', record, 'revoked', 'id', 'expires')
if have[1] then
  return {'already'}
end
redis.call('HSET', record, 'revoked', string.format('%.0f', now))
if not have[2] then
  redis.call('PEXPIRE', record, tonumber(ARGV[1]))
  return {'already'}
end
if tonumber(have[3]) <= now then
  return {'expired'}
end
return {'ended'}
