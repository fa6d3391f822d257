#!lua
-- Sweep puts steps of one slice of units back into the queue, lease or waiting list that their record says they belong
-- to. It changes no record, so losing every queue costs one round of sweeping.
-- KEYS  1 distribution  2 leases  3 later
-- ARGV  1 distribution id  2 lease in ms  3 steps by scope: {scope: [[step, queue], …]}  4… units, at most 100
-- Returns how many steps were put back.
local dist, leases, later = unpack(KEYS)
local id, lease = ARGV[1], tonumber(ARGV[2])
local scopes = cjson.decode(ARGV[3])
local names = {d = 'distribution', f = 'file', r = 'recipient', i = 'item'}
local tag = string.match(dist, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline = redis.call('HGET', dist, 'deadline')
local put = 0
for i = 4, #ARGV do
  local u = ARGV[i]
  for _, step in ipairs(scopes[names[string.sub(u, 1, 1)]] or {}) do
    local s = step[1]
    local at = redis.call('HMGET', tag .. ':u:' .. id .. ':' .. u, s, s .. '.due')
    local member, key, score = id .. '/' .. u .. '/' .. s, nil, nil
    if at[1] == 'ready' then
      key, score = tag .. ':q:' .. step[2], deadline
    elseif at[1] == 'running' then
      key, score = leases, now + lease
    elseif at[1] == 'retrying' then
      key, score = later, at[2] or now
    end
    if key then
      put = put + redis.call('ZADD', key, 'NX', score, member)
    end
  end
end
return put
