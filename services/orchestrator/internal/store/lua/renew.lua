#!lua
-- Renew prolongs leases of running attempts.
-- KEYS  1 the worker's leases  2 workers  3 that the worker is drained
-- ARGV  1 worker  2 lease in ms  3… at most 100 pairs: member of leases, attempt
-- Returns a code per pair: 1 prolonged, 2 lost, 3 prolonged and the distribution was cancelled; 10 more if it has slots.
local leases, workers, drained = KEYS[1], KEYS[2], KEYS[3]
local tag = string.match(leases, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local codes = {}
redis.call('ZADD', workers, now, ARGV[1])
local kept = redis.call('GET', drained)
if kept then
  redis.call('PEXPIRE', drained, kept)
end
for i = 3, #ARGV, 2 do
  local id, u, s = string.match(ARGV[i], '^([^/]+)/([^/]+)/([^/]+)$')
  local at = redis.call('HMGET', tag .. ':u:' .. id .. ':' .. u, s, s .. '.a', s .. '.by', s .. '.occ')
  local code = 2
  if at[1] == 'running' and at[2] == ARGV[i + 1] and at[3] == ARGV[1] then
    redis.call('ZADD', leases, now + ARGV[2], ARGV[i])
    code = redis.call('HEXISTS', tag .. ':d:' .. id, 'cancel') == 1 and 3 or 1
    if at[4] then
      code = code + 10
    end
  end
  codes[#codes + 1] = code
end
return codes
