#!lua
-- Enters a link among those of its distribution, unless that was revoked.
-- KEYS 1 the distribution's mark of revocation, 2 its links
-- ARGV 1 the link's hash, 2 milliseconds to keep the set for
-- Returns {code}
--   joined   it is entered, by this call or before it
--   revoked  the distribution was revoked; nothing was entered
local marker, members = KEYS[1], KEYS[2]
local hash, keep = ARGV[1], tonumber(ARGV[2])

if redis.call('EXISTS', marker) == 1 then
  return {'revoked'}
end
redis.call('ZADD', members, 0, hash)
if redis.call('PTTL', members) < keep then
  redis.call('PEXPIRE', members, keep)
end
return {'joined'}
