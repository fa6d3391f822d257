#!lua
-- Strays lists attempts whose lease their worker has not prolonged for a while, though it prolongs others: it does not know
-- of them, as the answer that handed them out got lost. It changes nothing.
-- KEYS  1 the worker's leases
-- ARGV  1 leases that end before this many ms from now  2 how many at most (100)
-- Returns a list of {member, attempt}.
local tag = string.match(KEYS[1], '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local id, u, s = string.match(member, '^([^/]+)/([^/]+)/([^/]+)$')
  found[#found + 1] = {member, redis.call('HGET', tag .. ':u:' .. id .. ':' .. u, s .. '.a') or '0'}
end
return found
