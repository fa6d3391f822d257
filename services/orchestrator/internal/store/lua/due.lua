#!lua
-- Due finds steps whose time has come: retries that are due, and attempts whose lease ran out. It changes nothing.
-- KEYS  1 later  2 leases
-- ARGV  1 how many of each at most (100)
-- Returns {due, lost}, lists of {member, attempt, worker, checkpoint or '', errors, crashes, throttles}.
local tag = string.match(KEYS[1], '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function look(key)
  local found = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, ARGV[1])) do
    local id, u, s = string.match(member, '^([^/]+)/([^/]+)/([^/]+)$')
    local at = redis.call('HMGET', tag .. ':u:' .. id .. ':' .. u, s .. '.a', s .. '.by', s .. '.cp', s .. '.err',
      s .. '.crash', s .. '.thr')
    found[#found + 1] = {member, at[1] or '0', at[2] or '', at[3] or '', at[4] or '0', at[5] or '0', at[6] or '0'}
  end
  return found
end

return {look(KEYS[1]), look(KEYS[2])}
