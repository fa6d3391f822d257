#!lua
-- Due finds steps whose time has come: retries that are due, and attempts whose lease ran out. It changes no record; a
-- worker that has not been heard of for a minute and holds nothing is forgotten.
-- KEYS  1 later  2 workers
-- ARGV  1 how many of each at most (100)
-- Returns {due, lost}, lists of {member, attempt, worker, checkpoint or '', errors, crashes, throttles}.
local later, workers = unpack(KEYS)
local tag = string.match(later, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[1])

local function look(key, found)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, most - #found)) do
    local id, u, s = string.match(member, '^([^/]+)/([^/]+)/([^/]+)$')
    local at = redis.call('HMGET', tag .. ':u:' .. id .. ':' .. u, s .. '.a', s .. '.by', s .. '.cp', s .. '.err',
      s .. '.crash', s .. '.thr')
    found[#found + 1] = {member, at[1] or '0', at[2] or '', at[3] or '', at[4] or '0', at[5] or '0', at[6] or '0'}
  end
  return found
end

local due, lost = look(later, {}), {}
local seen = redis.call('ZRANGE', workers, 0, -1, 'WITHSCORES')
for i = 1, #seen, 2 do
  if #lost < most then
    local leases = tag .. ':w:' .. seen[i]
    look(leases, lost)
    if now - tonumber(seen[i + 1]) > 60000 and redis.call('EXISTS', leases) == 0 then
      redis.call('ZREM', workers, seen[i])
    end
  end
end
return {due, lost}
