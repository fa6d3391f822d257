#!lua
-- Revive makes steps that have ended run again because a person asked for it, all of them or, when anything changed
-- since the caller looked, none.
-- KEYS  1 distribution  2 its events  3 changed  4 open  5 recipients
-- ARGV  1 distribution id  2 steps, in order, of at most 101 units: [{u unit, s step, from, a attempts, to, w waits,
--         ok, bad, hard, queue}]
--       3 items whose steps those are: [{u unit, p phase as the caller read it, o how many of its steps run again}]
--       4 delivery that is queued again: [unit, state as the caller read it], or []
--       5 number of the recipient whose data is replaced, or ''  6 the data  7 who asked  8 what for
--       9… states of a distribution that has ended
-- Returns 1, or 0 when something had changed, 2 when the distribution was cancelled.
local dist, events, changed, open, people = unpack(KEYS)
local id = ARGV[1]
local steps, items, queued = cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), cjson.decode(ARGV[4])
local tag = string.match(dist, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local about = redis.call('HMGET', dist, 'state', 'cancel', 'production', 'deadline', 'created')
if about[2] then
  return 2
end

local function unit(u)
  return tag .. ':u:' .. id .. ':' .. u
end

for _, op in ipairs(steps) do
  local at = redis.call('HMGET', unit(op.u), op.s, op.s .. '.a')
  if at[1] ~= op.from or (tonumber(at[2]) or 0) ~= op.a then
    return 0
  end
end
for _, item in ipairs(items) do
  if redis.call('HGET', unit(item.u), 'p') ~= item.p then
    return 0
  end
end
if queued[1] and redis.call('HGET', unit(queued[1]), 'v') ~= queued[2] then
  return 0
end

if ARGV[5] ~= '' then
  redis.call('HSET', people, ARGV[5], ARGV[6])
end
local woken = {}
for _, op in ipairs(steps) do
  local k, s = unit(op.u), op.s
  redis.call('HDEL', k, s .. '.code', s .. '.due', s .. '.end', s .. '.err', s .. '.crash', s .. '.thr', s .. '.ok',
    s .. '.bad', s .. '.stop', s .. '.hard')
  redis.call('HSET', k, s, op.to, s .. '.w', op.w)
  if op.ok then
    redis.call('HSET', k, s .. '.ok', 1)
  end
  if op.bad then
    redis.call('HSET', k, s .. '.bad', 1)
  end
  if op.hard then
    redis.call('HSET', k, s .. '.hard', 1)
  end
  redis.call('HDEL', tag .. ':x:' .. id .. ':' .. op.u, s .. '.msg')
  redis.call('HINCRBY', dist, 's:' .. s .. ':' .. op.from, -1)
  redis.call('HINCRBY', dist, 's:' .. s .. ':' .. op.to, 1)
  redis.call('HINCRBY', dist, 'open', 1)
  if op.to == 'ready' then
    redis.call('ZADD', tag .. ':q:' .. op.queue, about[4], id .. '/' .. op.u .. '/' .. s)
    woken[op.queue] = true
  end
end
for _, item in ipairs(items) do
  local k = unit(item.u)
  local r = unit('r' .. string.match(item.u, '%.(%d+)$'))
  redis.call('HSET', k, 'p', 'pending', 'o', item.o)
  redis.call('HDEL', k, 'z')
  redis.call('HINCRBY', r, 'n:' .. item.p, -1)
  redis.call('HINCRBY', r, 'n:pending', 1)
  if item.p == 'made' then
    redis.call('HINCRBY', dist, 'm:' .. (redis.call('HGET', r, 'v') or ''), -1)
  else
    redis.call('HINCRBY', dist, 'i:' .. item.p, -1)
  end
  redis.call('HINCRBY', dist, 'i:pending', 1)
end
if queued[1] then
  local k = unit(queued[1])
  local made = tonumber(redis.call('HGET', k, 'n:made')) or 0
  redis.call('HSET', k, 'v', 'queued')
  redis.call('HINCRBY', dist, 'v:' .. queued[2], -1)
  redis.call('HINCRBY', dist, 'v:queued', 1)
  redis.call('HINCRBY', dist, 'm:' .. queued[2], 0 - made)
  redis.call('HINCRBY', dist, 'm:queued', made)
end
for i = 9, #ARGV do
  if about[1] == ARGV[i] then
    redis.call('HSET', dist, 'state', 'running')
    redis.call('HDEL', dist, 'ended')
    redis.call('ZADD', open, about[5], id)
  end
end
redis.call('HINCRBY', dist, 'ver', 1)
redis.call('XADD', events, '*', 'k', ARGV[8], 'u', steps[1].u, 'w', ARGV[7])
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', about[3])
for queue in pairs(woken) do
  redis.call('PUBLISH', tag .. ':wake', queue)
end
return 1
