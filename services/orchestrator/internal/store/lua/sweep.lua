#!lua
-- Begins with lib/turns.lua.
-- Sweep puts steps of one slice of units back into the queue, lease or waiting list that their record says they belong
-- to, and limits with which some were put aside among those that are looked at. It changes no record, so losing every queue costs one round of sweeping.
-- KEYS  1 distribution  2 workers  3 later  4 passes
-- ARGV  1 distribution id  2 lease in ms  3 steps by scope: {scope: [[step, function, rank], …]}  4… units, at most 100
-- Returns how many steps were put back.
local dist, workers, later, passes = unpack(KEYS)
local id, lease = ARGV[1], tonumber(ARGV[2])
local scopes = cjson.decode(ARGV[3])
local names = {d = 'distribution', f = 'file', r = 'recipient', i = 'item'}
local tag = string.match(dist, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local about = redis.call('HMGET', dist, 'deadline', 'production', 'state')
local deadline, production = tonumber(about[1]), about[2]
local put, woken = 0, {}
for i = 4, #ARGV do
  local u = ARGV[i]
  for _, step in ipairs(scopes[names[string.sub(u, 1, 1)]] or {}) do
    local s = step[1]
    local k = tag .. ':u:' .. id .. ':' .. u
    local at = redis.call('HMGET', k, s, s .. '.due', s .. '.by', s .. '.aside')
    local member, key, score = id .. '/' .. u .. '/' .. s, nil, nil
    if at[1] == 'ready' and about[3] == 'running' then
      local aside = at[4] and string.match(at[4], '^({.*) %d+$')
      if aside and redis.call('ZSCORE', aside, step[2] .. ' ' .. member) then
        -- It stands with a limit. Somebody must be going to look at that.
        local limit = string.match(aside, ':gw:(.+)$')
        if string.sub(limit, 1, 7) == 'studio/' then
          redis.call('SADD', tag .. ':gws', limit)
        else
          redis.call('ZADD', tag .. ':gt', 'NX', now, limit)
        end
      else
        key, score = tag .. ':q:' .. step[2] .. ':' .. production, step[3] + deadline
        woken[step[2]] = true
      end
    elseif at[1] == 'running' then
      key, score = tag .. ':w:' .. at[3], now + lease
      redis.call('ZADD', workers, 'NX', now, at[3])
    elseif at[1] == 'retrying' then
      key, score = later, at[2] or now
    end
    if key then
      put = put + redis.call('ZADD', key, 'NX', score, member)
    end
  end
end
for fn in pairs(woken) do
  join_turns(tag, passes, fn, production)
  redis.call('PUBLISH', tag .. ':wake', fn)
end
return put
