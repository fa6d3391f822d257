#!lua
-- Records a code that signs somebody in, once.
-- KEYS 1 sign-in record
-- ARGV 1 sha256 of the code, 2 role, 3 productions as a JSON list, 4 note, 5 milliseconds for which it can be used
-- Returns {code, until when it can be used, in milliseconds since 1970}
--   created  it was recorded by this call
--   exists   it was there
local record = KEYS[1]
local sha256, role, productions, note, valid = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local expires = redis.call('HGET', record, 'expires')
if expires then
  return {'exists', expires}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
expires = string.format('%.0f', now + valid)
redis.call('HSET', record, 'sha256', sha256, 'role', role, 'productions', productions, 'note', note, 'expires', expires)
redis.call('PEXPIREAT', record, expires)
return {'created', expires}
