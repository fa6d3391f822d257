#!lua
-- Marks a distribution's links as revoked, those to come included.
-- KEYS 1 the distribution's mark of revocation, 2 its links
-- ARGV 1 milliseconds to keep the mark for at least
-- Returns {code}
--   marked  it is, by this call or before it
local marker, members = KEYS[1], KEYS[2]
local keep = math.max(tonumber(ARGV[1]), redis.call('PTTL', members))

local time = redis.call('TIME')
redis.call('SET', marker, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), 'NX')
if redis.call('PTTL', marker) < keep then
  redis.call('PEXPIRE', marker, keep)
end
return {'marked'}
