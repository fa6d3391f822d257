#!lua
-- Begins with lib/turns.lua.
-- Gather brings steps that were put aside with limits back into their queues: as many as a limit has room for. It is
-- called for limits whose time has come, and for any whose room has grown.
-- KEYS  1 limits to look at, by when  2 passes
-- ARGV  1 how many steps at most (100)  2 a studio limit of which that many steps are brought back, or ''
-- Returns how many steps were brought back.
local timed, passes = unpack(KEYS)
local tag = string.match(timed, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left, back, woken = tonumber(ARGV[1]), 0, {}

local function requeue(aside, n, production)
  local got = redis.call('ZPOPMIN', aside, n)
  for i = 1, #got, 2 do
    local fn, member = string.match(got[i], '^(%S+) (%S+)$')
    local of = production or redis.call('HGET', tag .. ':d:' .. string.match(member, '^[^/]+'), 'production')
    if of then
      redis.call('ZADD', tag .. ':q:' .. fn .. ':' .. of, got[i + 1], member)
      join_turns(tag, passes, fn, of)
      woken[fn] = true
      back = back + 1
    end
  end
end

if ARGV[2] ~= '' then
  requeue(tag .. ':gw:' .. ARGV[2], left)
else
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', timed, '-inf', now, 'LIMIT', 0, 20)) do
    local production, name = string.match(id, '^([^:]+):(.+)$')
    local aside, held = tag .. ':gw:' .. id, tag .. ':gh:' .. id
    local r = redis.call('HMGET', tag .. ':g:' .. id, 'max', 'rate', 'burst', 'tat', 'till', 'trial', 'st')
    local most, rate, till = tonumber(r[1]) or 0, tonumber(r[2]) or 0, tonumber(r[5]) or 0
    if string.sub(name, 1, 2) == 'k/' or r[6] then
      most = 1
    end
    local room, at = left, now + 1000
    if most > 0 then
      redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
      room = most - redis.call('ZCARD', held)
    end
    if r[7] and r[7] ~= 'ready' then
      -- Of one that is to be made they come in vain, but say so once more: those that were cancelled meanwhile do not.
      room = (r[7] == 'absent' or r[7] == 'failed' and till <= now) and left or 0
    elseif till > now then
      room, at = 0, till
    elseif rate > 0 then
      local every = 1000 / rate
      local from = (tonumber(r[4]) or 0) - (math.max(tonumber(r[3]) or 1, 1) - 1) * every
      if from > now then
        room, at = 0, from
      else
        room = math.min(room, math.floor((now - math.max(from, now - (tonumber(r[3]) or 1) * every)) / every) + 1)
        at = now + math.min(every, 1000)
      end
    end
    room = math.min(room, left - back)
    if room > 0 then
      requeue(aside, room, production)
    end
    if redis.call('EXISTS', aside) == 1 then
      redis.call('ZADD', timed, at, id)
    else
      redis.call('ZREM', timed, id)
    end
  end
end
for fn in pairs(woken) do
  redis.call('PUBLISH', tag .. ':wake', fn)
end
return back
