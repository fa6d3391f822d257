#!lua
-- Settle ends or puts back steps of one distribution and moves everything that must agree with it: counters, items,
-- deliveries, what waits for the step, queues, events, and the distribution's own end when the last step has ended.
-- KEYS  1 distribution  2 its events  3 changed  4 leases  5 later  6 chores  7 open
-- ARGV  1 distribution id
--       2 graph: {steps: {name: {scope, queue, deps, optional, delivers, held, join}}, good: [delivery], rank: {phase: n},
--         endings: {"cgb": state}}
--       3 operations, at most 100, in order: {u unit, s step, ...} and either
--         {from, to, a attempt or 0, w worker, o outcome, code, msg, out, due, dv, dup, keep, tally, ev, alt}, an end
--         or a putting-back of an attempt; alt replaces to, o and dv when the distribution was cancelled;
--         or {arrive = true, o outcome, code}, one of the steps that (u, s) waits for has ended
--       4 chore that this batch belongs to, or ''   5 its cursor as the caller read it
--       6 its cursor from now on, or '' when the chore is finished
-- Returns {0} when the chore's cursor was not as expected: somebody else did this batch. Otherwise
--         {1, state the distribution ended in or '', a code per operation}: 1 applied, 2 already so, 3 fenced.
local dist, events, changed, leases, later, chores, open = unpack(KEYS)
local id = ARGV[1]
local graph = cjson.decode(ARGV[2])
local ops = cjson.decode(ARGV[3])
local chore, expected, cursor = ARGV[4], ARGV[5], ARGV[6]
local tag = string.match(dist, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if chore ~= '' then
  local at = redis.call('HGET', dist, 'c:' .. chore)
  if at ~= expected then
    return {0}
  end
end

local about = redis.call('HMGET', dist, 'deadline', 'cancel', 'production', 'hold')
local deadline, cancelled, production = about[1], about[2], about[3]
local hold = tonumber(about[4]) or 0
local counts, woken = {}, {}

local function count(field, by)
  counts[field] = (counts[field] or 0) + by
end

local function unit(u)
  return tag .. ':u:' .. id .. ':' .. u
end

local function enter(u, s, from, to)
  redis.call('HSET', unit(u), s, to)
  count('s:' .. s .. ':' .. from, -1)
  count('s:' .. s .. ':' .. to, 1)
end

local function enqueue(u, s)
  local queue = graph.steps[s].queue
  redis.call('ZADD', tag .. ':q:' .. queue, deadline, id .. '/' .. u .. '/' .. s)
  woken[queue] = true
end

-- An item's phase, with the counters of its recipient and of the distribution. Items that are made are counted by
-- their recipient's delivery, since that decides their state.
local function phase(u, to)
  local from = redis.call('HGET', unit(u), 'p')
  if from == to then
    return
  end
  redis.call('HSET', unit(u), 'p', to)
  local r = unit('r' .. string.match(u, '%.(%d+)$'))
  redis.call('HINCRBY', r, 'n:' .. from, -1)
  redis.call('HINCRBY', r, 'n:' .. to, 1)
  count('i:' .. from, -1)
  if to == 'made' then
    count('m:' .. (redis.call('HGET', r, 'v') or ''), 1)
  else
    count('i:' .. to, 1)
  end
end

local function delivery(u, to)
  local k = unit(u)
  local was = redis.call('HMGET', k, 'v', 'n:made')
  if was[1] == to then
    return
  end
  redis.call('HSET', k, 'v', to)
  count('v:' .. was[1], -1)
  count('v:' .. to, 1)
  local made = tonumber(was[2]) or 0
  count('m:' .. was[1], -made)
  count('m:' .. to, made)
end

local finish

-- One of the steps that (u, s) waits for has ended; with the last of them it becomes ready, or ends, too. A step of the
-- same unit (near) cannot be done without; of many items some may be missing, if the policy says so.
local function arrive(u, s, outcome, code, near)
  local k, g = unit(u), graph.steps[s]
  local left = redis.call('HINCRBY', k, s .. '.w', -1)
  if outcome == 'ok' then
    redis.call('HSET', k, s .. '.ok', 1)
  elseif outcome == 'bad' then
    redis.call('HSET', k, s .. '.bad', 1)
    redis.call('HSETNX', k, s .. '.code', code)
    if near then
      redis.call('HSET', k, s .. '.hard', 1)
    end
  else
    redis.call('HSET', k, s .. '.stop', 1)
  end
  if left > 0 or redis.call('HGET', k, s) ~= 'pending' then
    return
  end
  local had = redis.call('HMGET', k, s .. '.ok', s .. '.bad', s .. '.stop', s .. '.hard')
  if cancelled or (had[3] and not had[2]) then
    finish(u, s, 'pending', 'cancelled', 'cancelled', 'CANCELLED', 'cancelled')
  elseif had[2] and (had[4] or not (g.join == 'available' and had[1])) then
    finish(u, s, 'pending', 'cancelled', 'bad', redis.call('HGET', k, s .. '.code'), 'failed')
  else
    redis.call('HDEL', k, s .. '.code')
    if g.held and hold > now then
      -- The undo window is open: nothing reaches anybody before it is over.
      enter(u, s, 'pending', 'retrying')
      redis.call('HSET', k, s .. '.due', hold)
      redis.call('ZADD', later, hold, id .. '/' .. u .. '/' .. s)
    else
      enter(u, s, 'pending', 'ready')
      enqueue(u, s)
    end
  end
end

-- The step (u, s) enters a final state: outcome is ok, bad or cancelled, and goes to whatever waits for it.
finish = function(u, s, from, to, outcome, code, dv)
  local g, k = graph.steps[s], unit(u)
  enter(u, s, from, to)
  redis.call('HSET', k, s .. '.end', now)
  if code ~= '' then
    redis.call('HSET', k, s .. '.code', code)
  end
  count('open', -1)
  if g.delivers and dv ~= '' then
    delivery(u, dv)
  end
  if outcome == 'bad' and g.optional then
    outcome = 'ok'
  end
  if g.scope == 'item' then
    local mine = outcome == 'ok' and 'made' or outcome == 'bad' and 'failed' or 'cancelled'
    local worst = redis.call('HGET', k, 'z') or 'made'
    if graph.rank[mine] > graph.rank[worst] then
      worst = mine
      redis.call('HSET', k, 'z', worst)
    end
    if redis.call('HINCRBY', k, 'o', -1) == 0 then
      phase(u, worst)
    end
  end
  local fan = false
  for _, dep in ipairs(g.deps) do
    local to_scope = graph.steps[dep].scope
    if to_scope == g.scope then
      arrive(u, dep, outcome, code, true)
    elseif to_scope == 'distribution' then
      arrive('d', dep, outcome, code)
    elseif to_scope == 'recipient' then
      arrive('r' .. string.match(u, '%.(%d+)$'), dep, outcome, code)
    else
      fan = true -- from a file to its items: too many for one script
    end
  end
  if fan then
    local member = 'fan/' .. id .. '/' .. s .. '/' .. u
    redis.call('HSET', dist, 'c:' .. member, '0:' .. outcome .. ':' .. code)
    redis.call('ZADD', chores, now, member)
  end
end

local function settle(op)
  local k, s = unit(op.u), op.s
  local at = redis.call('HMGET', k, s, s .. '.a', s .. '.by', s .. '.at')
  local state = at[1]
  if op.a > 0 and (tonumber(at[2]) ~= op.a or at[3] ~= op.w) then
    return 3
  end
  if cancelled and op.alt then
    op.to, op.o, op.dv = op.alt.to, op.alt.o, op.alt.dv
  end
  if state == op.to then
    return 2
  end
  local allowed = false
  for _, from in ipairs(op.from) do
    allowed = allowed or from == state
  end
  if not allowed then
    return 3
  end
  local member = id .. '/' .. op.u .. '/' .. s
  redis.call('ZREM', leases, member)
  if op.tally then
    redis.call('HSET', k, s .. '.err', op.tally[1], s .. '.crash', op.tally[2], s .. '.thr', op.tally[3])
  end
  if not op.keep then
    redis.call('HDEL', k, s .. '.cp')
  end
  if op.dup then
    redis.call('HSET', k, s .. '.dup', 1)
  end
  local long = tag .. ':x:' .. id .. ':' .. op.u
  if op.out ~= '' then
    redis.call('HSET', long, s .. '.out', op.out)
  end
  if op.msg ~= '' then
    redis.call('HSET', long, s .. '.msg', op.msg)
  end
  if op.ev then
    redis.call('XADD', events, '*', 'k', 'attempt', 's', s, 'u', op.u, 'a', at[2] or '0', 'w', at[3] or '',
      'st', at[4] or '', 'to', op.to, 'c', op.code, 'm', op.msg)
  end
  if op.o ~= '' then
    if op.to == 'done' then
      redis.call('HDEL', k, s .. '.code')
    end
    redis.call('ZREM', later, member)
    finish(op.u, s, state, op.to, op.o, op.code, op.dv)
    return 1
  end
  enter(op.u, s, state, op.to)
  if op.code ~= '' then
    redis.call('HSET', k, s .. '.code', op.code)
  end
  if graph.steps[s].delivers and op.dv ~= '' then
    delivery(op.u, op.dv)
  end
  if op.due > 0 then
    redis.call('HSET', k, s .. '.due', now + op.due)
    redis.call('ZADD', later, now + op.due, member)
  else
    redis.call('ZREM', later, member)
    enqueue(op.u, s)
  end
  return 1
end

local codes = {}
for i, op in ipairs(ops) do
  if op.arrive then
    arrive(op.u, op.s, op.o, op.code)
    codes[i] = 1
  else
    codes[i] = settle(op)
  end
end

for field, by in pairs(counts) do
  if by ~= 0 then
    redis.call('HINCRBY', dist, field, by)
  end
end

if chore ~= '' then
  if cursor == '' then
    redis.call('HDEL', dist, 'c:' .. chore)
    redis.call('ZREM', chores, chore)
  else
    redis.call('HSET', dist, 'c:' .. chore, cursor)
  end
end

local ended = ''
if counts.open and redis.call('HGET', dist, 'open') == '0' then
  local good = 0
  for _, v in ipairs(graph.good) do
    good = good + (tonumber(redis.call('HGET', dist, 'm:' .. v)) or 0)
  end
  local bad = tonumber(redis.call('HGET', dist, 'items')) - good
  ended = graph.endings[(cancelled and 'c' or '-') .. (good > 0 and 'g' or '-') .. (bad > 0 and 'b' or '-')]
  redis.call('HSET', dist, 'state', ended, 'ended', now)
  redis.call('ZREM', open, id)
  redis.call('XADD', events, '*', 'k', 'ended', 'to', ended)
end
redis.call('HINCRBY', dist, 'ver', 1)
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', production)
for queue in pairs(woken) do
  redis.call('PUBLISH', tag .. ':wake', queue)
end
return {1, ended, codes}
