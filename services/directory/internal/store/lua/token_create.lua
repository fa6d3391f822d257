#!lua
-- Records a token unless it was recorded before.
-- KEYS 1 token record
-- ARGV 1 sha256 of the secret, 2 role, 3 productions as a JSON list, 4 note
-- Returns {code}
--   created  it was recorded by this call
--   exists   it was there and is valid
--   revoked  it was there and was revoked; it stays so
local record = KEYS[1]
local sha256, role, productions, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local have = redis.call('HMGET', record, 'sha256', 'revoked')
if have[2] then
  return {'revoked'}
end
if have[1] then
  return {'exists'}
end
local time = redis.call('TIME')
local created = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', record, 'sha256', sha256, 'role', role, 'productions', productions, 'note', note, 'created', created)
return {'created'}
