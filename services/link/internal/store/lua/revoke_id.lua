#!lua
-- Notes at a link's id that it is revoked, also before there is such a link.
-- KEYS 1 index entry of the link id
-- ARGV 1 distribution, 2 milliseconds to keep the note for at least
-- Returns {code, hash}
--   noted  it is; the hash is empty if no link was made
--   other  the link is one of another distribution; nothing was changed
local index = KEYS[1]
local distribution, keep = ARGV[1], tonumber(ARGV[2])

local have = redis.call('HMGET', index, 'hash', 'distribution')
if have[2] and have[2] ~= distribution then
  return {'other', ''}
end
local time = redis.call('TIME')
redis.call('HSETNX', index, 'revoked', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
if redis.call('PTTL', index) < keep then
  redis.call('PEXPIRE', index, keep)
end
return {'noted', have[1] or ''}
