#!lua
-- Begins with lib/turns.lua.
-- Revive makes steps that have ended run again because a person asked for it, and those that have not run wait for them,
-- all of them or, when anything changed since the caller looked, none.
-- KEYS  1 distribution  2 its events  3 changed  4 open  5 recipients  6 passes  7 ended  8 crashes by document  9 later
--       10 what retries under way are for
-- ARGV  1 distribution id
--       2 steps, in order, of at most 101 units: [{u unit, s step, from, a attempts, to, w waits, ok, bad, hard, code, queue,
--         rank, key, doc, open it has not ended, keep its checkpoint, held by the undo window, starts another distribution,
--         heard [step of the file whose end is counted], unheard [step of the file that it is to be told of]}]
--       3 items whose steps those are: [{u unit, p phase as the caller read it, o how many of its steps are open from now on,
--         z the worst that those which have ended make of it}]
--       4 delivery that is queued again: [unit, state as the caller read it], or []
--       5 number of the recipient whose data is replaced, or ''  6 the data  7 who asked  8 what for
--       9 other steps: {steps: [[unit, step, kind]], kinds: {kind: [states that it must be in]}}
--       10 unit that it is about  11 chore that this belongs to, or ''  12 its cursor as the caller read it  13 its cursor
--       from now on  14 steps of the whole distribution: {steps, in order: [{s, queue, rank, held, starts, needs: [{s, optional}],
--         wanted: attempts it had, if it is asked for itself}], waits: [state in which it waits again], given: [state in which
--         it was given up], ended: [state], open: [state]}  15… states of a distribution that has ended
-- Returns 1, or 0 when something had changed, 2 when the distribution was cancelled, 3 when the cursor was not as expected:
--         somebody else did this.
local dist, events, changed, open, people, passes, ended, crashes, later, asks = unpack(KEYS)
local id = ARGV[1]
local steps, items, queued = cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), cjson.decode(ARGV[4])
local others = cjson.decode(ARGV[9])
local chore, whole = ARGV[11], cjson.decode(ARGV[14])
local tag = string.match(dist, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if chore ~= '' and redis.call('HGET', dist, 'c:' .. chore) ~= ARGV[12] then
  return 3
end
local about = redis.call('HMGET', dist, 'state', 'cancel', 'production', 'deadline', 'created', 'hold')
if about[2] then
  return 2
end
local hold = tonumber(about[6]) or 0

local function unit(u)
  return tag .. ':u:' .. id .. ':' .. u
end

for _, op in ipairs(steps) do
  local at = redis.call('HMGET', unit(op.u), op.s, op.s .. '.a')
  if at[1] ~= op.from or (tonumber(at[2]) or 0) ~= op.a then
    return 0
  end
  -- Items are still being told how a file's step ended: they would take that for how it ends this time.
  if redis.call('HEXISTS', dist, 'c:fan/' .. id .. '/' .. op.s .. '/' .. op.u) == 1 then
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

local allowed = {}
for kind, states in pairs(others.kinds) do
  allowed[kind] = {}
  for _, state in ipairs(states) do
    allowed[kind][state] = true
  end
end
for _, other in ipairs(others.steps) do
  if not allowed[other[3]][redis.call('HGET', unit(other[1]), other[2])] then
    return 0
  end
end

if ARGV[5] ~= '' then
  redis.call('HSET', people, ARGV[5], ARGV[6])
end
local woken = {}
local names = {} -- of the steps that run again, or wait again
local function again(op)
  names[#names + 1] = op.u .. '/' .. op.s
  local k, s = unit(op.u), op.s
  local member, aside = id .. '/' .. op.u .. '/' .. s, nil
  redis.call('HDEL', k, s .. '.code', s .. '.due', s .. '.end', s .. '.ok', s .. '.bad', s .. '.stop', s .. '.hard', s .. '.key')
  for _, name in ipairs(op.heard or {}) do
    redis.call('HSET', k, s .. '.h.' .. name, 1)
  end
  for _, name in ipairs(op.unheard or {}) do
    redis.call('HDEL', k, s .. '.h.' .. name)
  end
  if op.starts then
    -- From now on it means another child than before.
    redis.call('HINCRBY', k, s .. '.rev', 1)
  end
  if op.open then
    if op.from == 'ready' then
      redis.call('ZREM', tag .. ':q:' .. op.queue .. ':' .. about[3], member)
      aside = string.match(redis.call('HGET', k, s .. '.aside') or '', '^({.*) %d+$')
    elseif op.from == 'retrying' then
      redis.call('ZREM', later, member)
    end
    if aside then
      redis.call('ZREM', aside, op.queue .. ' ' .. member)
      redis.call('HDEL', k, s .. '.aside')
    end
  else
    redis.call('HDEL', k, s .. '.err', s .. '.crash', s .. '.thr')
    redis.call('HINCRBY', dist, 'open', 1)
  end
  if not op.keep then
    redis.call('HDEL', k, s .. '.cp')
  end
  if op.doc then
    redis.call('HDEL', crashes, op.doc) -- whoever asks again wants it tried again
  end
  if op.to == 'ready' and op.held and hold > now then
    -- The undo window is open: nothing reaches anybody before it is over.
    op.to = 'retrying'
    redis.call('HSET', k, s .. '.due', hold)
    redis.call('ZADD', later, hold, member)
  end
  redis.call('HSET', k, s, op.to, s .. '.w', op.w)
  if op.key then
    redis.call('HSET', k, s .. '.key', op.key)
  end
  if op.ok then
    redis.call('HSET', k, s .. '.ok', 1)
  end
  if op.bad then
    redis.call('HSET', k, s .. '.bad', 1, s .. '.code', op.code)
  end
  if op.hard then
    redis.call('HSET', k, s .. '.hard', 1)
  end
  redis.call('HDEL', tag .. ':x:' .. id .. ':' .. op.u, s .. '.msg')
  redis.call('HINCRBY', dist, 's:' .. s .. ':' .. op.from, -1)
  redis.call('HINCRBY', dist, 's:' .. s .. ':' .. op.to, 1)
  if op.to == 'ready' then
    redis.call('ZADD', tag .. ':q:' .. op.queue .. ':' .. about[3], op.rank + about[4], member)
    if not woken[op.queue] then
      woken[op.queue] = true
      join_turns(tag, passes, op.queue, about[3])
    end
  end
end
local moved, near = {}, {}
for _, op in ipairs(steps) do
  again(op)
  moved[op.s] = true
end

-- Steps of the whole distribution wait again for what they had counted as an end, or run again themselves. What they wait for
-- is too much to look at; the distribution's counters say how much of it is open.
local function among(states, state)
  for _, s in ipairs(states) do
    if s == state then
      return true
    end
  end
  return false
end
local function counted(need, states)
  local n = 0
  for _, state in ipairs(states) do
    n = n + (tonumber(redis.call('HGET', dist, 's:' .. need .. ':' .. state)) or 0)
  end
  return n
end
for _, g in ipairs(whole.steps) do
  local s = g.s
  local hears, close = false, false
  for _, need in ipairs(g.needs) do
    hears = hears or moved[need.s]
    close = close or near[need.s]
  end
  if hears or g.wanted then
    local at = redis.call('HMGET', unit('d'), s, s .. '.a', s .. '.cp', s .. '.code', s .. '.key')
    local from = at[1] or ''
    local ends = among(whole.ended, from)
    local given = among(whole.given, from)
    local mine = ends and (close or given and (hears or g.wanted == (tonumber(at[2]) or 0)))
    local back = hears and (from == 'pending' or among(whole.waits, from) and not at[3]) -- work of it may go on elsewhere
    local left, bad = 0, 0
    if mine or back then
      for _, need in ipairs(g.needs) do
        left = left + counted(need.s, whole.open)
        if not need.optional then
          bad = bad + counted(need.s, whole.given)
        end
      end
    end
    if back or mine and (left > 0 or bad == 0) then
      local to = 'pending'
      if left == 0 and redis.call('EXISTS', asks) == 0 then
        to = 'ready'
      end
      again({u = 'd', s = s, from = from, to = to, w = left, bad = bad > 0, code = at[4] or 'FAILED', queue = g.queue, rank = g.rank,
        key = at[5], open = not ends, held = g.held, starts = g.starts and ends})
      moved[s], near[s] = true, ends or nil
    end
  end
end
for _, item in ipairs(items) do
  local k = unit(item.u)
  redis.call('HSET', k, 'o', item.o)
  if item.z then
    redis.call('HSET', k, 'z', item.z)
  else
    redis.call('HDEL', k, 'z')
  end
  if item.p ~= 'pending' and item.p ~= 'running' then
    local r = unit('r' .. string.match(item.u, '%.(%d+)$'))
    redis.call('HSET', k, 'p', 'pending')
    redis.call('HINCRBY', r, 'n:' .. item.p, -1)
    redis.call('HINCRBY', r, 'n:pending', 1)
    if item.p == 'made' then
      redis.call('HINCRBY', dist, 'm:' .. (redis.call('HGET', r, 'v') or ''), -1)
    else
      redis.call('HINCRBY', dist, 'i:' .. item.p, -1)
    end
    redis.call('HINCRBY', dist, 'i:pending', 1)
  end
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
if chore ~= '' then
  redis.call('HSET', dist, 'c:' .. chore, ARGV[13])
end
for i = 15, #ARGV do
  if about[1] == ARGV[i] then
    redis.call('HSET', dist, 'state', 'running')
    redis.call('HDEL', dist, 'ended')
    redis.call('ZADD', open, about[5], id)
    redis.call('ZREM', ended, id)
    local size = redis.call('HMGET', dist, 'counted', 'items')
    if size[1] == '0' then
      redis.call('HSET', dist, 'counted', '1')
      redis.call('INCRBY', tag .. ':used:' .. about[3], size[2])
    end
  end
end
redis.call('HINCRBY', dist, 'ver', 1)
redis.call('XADD', events, '*', 'k', ARGV[8], 'u', ARGV[10], 'w', ARGV[7], 'r', table.concat(names, ' '))
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', about[3])
for queue in pairs(woken) do
  redis.call('PUBLISH', tag .. ':wake', queue)
end
return 1
