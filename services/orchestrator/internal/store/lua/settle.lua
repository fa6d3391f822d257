#!lua
-- Begins with lib/turns.lua.
-- Settle ends or puts back steps of one distribution and moves everything that must agree with it: counters, items,
-- deliveries, what waits for the step, queues, limits, events, and the distribution's own end when the last step has ended.
-- Records are read once, changed here, and written once, since calls are what a script spends its time on.
-- KEYS  1 distribution  2 its events  3 changed  4 later  5 chores  6 open  7 ended  8 passes  9 crashes by document
-- ARGV  1 distribution id
--       2 graph: {steps: {name: {scope, queue, rank, deps, alone it waits for one step of its own unit, optional, delivers,
--         held, join, limits, shared it needs studio limits, exclusive, heard}}, good: [delivery],
--         rank: {phase: n}, endings: {"cgb": state}, tolerate: failed items or -1, bad: [delivery], cancel: chore,
--         from: states that an attempt's end may come after,
--         people: recipients, when they are few}
--       3 operations, at most 100, in order: {kinds: [{s step, ...}], list: [number of its kind, unit u, attempt a or 0,
--         output or '' and, after a line's end, the function's figures, ...]}. Of most there are many of a kind, which is either
--         {from, to, w worker, o outcome, code, msg, due, dv, dup, keep, cp, tally [1, errors, crashes, throttles], ev, doc,
--         crash, alt, told who ended it without an attempt}, an end or a putting-back of an attempt; alt replaces to, o and dv when the distribution was cancelled;
--         or {arrive = true, o outcome, code, of}, of the steps that (u, s) waits for the file's step of has ended
--       4 chore that this batch belongs to, or ''   5 its cursor as the caller read it
--       6 its cursor from now on, or '' when the chore is finished
-- Returns {0} when the chore's cursor was not as expected: somebody else did this batch. Otherwise
--         {1, state the distribution ended in or '', a code per operation}: 1 applied, 2 already so, 3 fenced.
local dist, events, changed, later, chores, open, ended_key, passes, crashes = unpack(KEYS)
local id = ARGV[1]
local graph = cjson.decode(ARGV[2])
local ops = cjson.decode(ARGV[3])
local kinds, list = ops.kinds, ops.list
local chore, expected, cursor = ARGV[4], ARGV[5], ARGV[6]
local call = redis.call
local tag = string.match(dist, '^{[^}]*}')
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Redis writes a number that it is given as a floating-point one, which is slow; whole ones go as text.
local format, texts = string.format, {}
local function text(n)
  local t = texts[n]
  if not t then
    t = format('%d', n)
    texts[n] = t
  end
  return t
end

local stamp = text(now)
if chore ~= '' then
  local at = call('HGET', dist, 'c:' .. chore)
  if at ~= expected then
    return {0}
  end
end

local about = call('HMGET', dist, 'deadline', 'cancel', 'production', 'hold', 'stop')
local deadline, cancelled, production, stop = tonumber(about[1]), about[2], about[3], about[5]
local hold = tonumber(about[4]) or 0
if not production then
  -- Kept long enough, and deleted.
  local gone = {}
  for i = 1, #list / 4 do
    gone[i] = 3
  end
  return {1, '', gone}
end
local counts, limited, queued, released = {}, {}, {}, {}
local suspects = call('EXISTS', crashes) == 1

local function count(field, by)
  counts[field] = (counts[field] or 0) + by
end

-- Of each step that is met: the names of its fields, made once; what is read of a unit before it ends (ending), and before
-- something that it waits for does (arriving); how many enter each state (moved), which is counted at the end.
local fields = setmetatable({}, {__index = function(all, s)
  local g = graph.steps[s]
  local f = {s = s, g = g, a = s .. '.a', by = s .. '.by', at = s .. '.at', cp = s .. '.cp', code = s .. '.code', w = s .. '.w',
    ok = s .. '.ok', bad = s .. '.bad', stop = s .. '.stop', hard = s .. '.hard', ends = s .. '.end', due = s .. '.due', moved = {}}
  all[s] = f
  -- One that waits for a single step has no number for that before a person has something done again, and nothing then to
  -- remember of what it waits for.
  f.joining = {f.ok, f.bad, f.stop, f.hard, f.code}
  f.arriving = g.alone and {s, f.w} or {s, f.w, f.ok, f.bad, f.stop, f.hard, f.code}
  for _, name in ipairs(g.heard) do
    f.heard = f.heard or {}
    f.heard[name] = s .. '.h.' .. name
    table.insert(f.arriving, f.heard[name])
  end
  f.ending = {s, f.a, f.by, f.at, f.cp}
  if g.exclusive then
    f.key = s .. '.key'
    table.insert(f.ending, f.key)
  end
  local last = true
  for _, dep in ipairs(g.deps) do
    if graph.steps[dep].scope == g.scope then
      last = false
      for _, name in ipairs(all[dep].arriving) do
        table.insert(f.ending, name)
      end
    end
  end
  if g.scope == 'item' then
    table.insert(f.ending, 'z')
    table.insert(f.ending, 'o')
    if last then
      table.insert(f.ending, 'p')
    end
  end
  return f
end})

-- Records as they stand: read when asked for, written at the end. An absent field is false. In its numbered part a record
-- has the names of fields that were changed.
local units = {}
local prefix = tag .. ':u:' .. id .. ':'

local function record(u, names)
  local r = units[u]
  if not r then
    r = {}
    units[u] = r
    local got = call('HMGET', prefix .. u, unpack(names))
    for i = 1, #names do
      r[names[i]] = got[i]
    end
    return r
  end
  local missing = nil
  for i = 1, #names do
    if r[names[i]] == nil then
      missing = missing or {}
      missing[#missing + 1] = names[i]
    end
  end
  if missing then
    local got = call('HMGET', prefix .. u, unpack(missing))
    for i = 1, #missing do
      r[missing[i]] = got[i]
    end
  end
  return r
end

local function put(r, name, value)
  r[name] = value
  r[#r + 1] = name
end

local function add(r, name, by)
  put(r, name, (tonumber(r[name]) or 0) + by)
end

local function move(f, from, to)
  local moved = f.moved
  moved[from] = (moved[from] or 0) - 1
  moved[to] = (moved[to] or 0) + 1
end

local function queue(fn, score, member)
  local q = queued[fn]
  if not q then
    q = {}
    queued[fn] = q
  end
  q[#q + 1] = score
  q[#q + 1] = member
end

local function enqueue(u, s, g)
  if not g.score then
    g.score = text(g.rank + deadline)
  end
  queue(g.queue, g.score, id .. '/' .. u .. '/' .. s)
end

-- The step gives its places back, and whoever waits for one of them gets ready.
local function free(member, g, key)
  local function one(name)
    local of = production .. ':' .. name
    if call('ZREM', tag .. ':gh:' .. of, member) == 1 then
      local next = call('ZPOPMIN', tag .. ':gw:' .. of)
      if next[1] then
        local fn, waiting = string.match(next[1], '^(%S+) (%S+)$')
        queue(fn, next[2], waiting)
      end
    end
  end
  if limited[g.queue] == nil then
    -- Places outlive their limit, and count again should it come back.
    limited[g.queue] = call('EXISTS', tag .. ':gh:' .. production .. ':' .. g.queue) == 1
  end
  if limited[g.queue] then
    one(g.queue)
  end
  for _, name in ipairs(g.limits) do
    one(name)
  end
  if key then
    one('k/' .. key)
  end
end

-- An item's phase, with the counters of its recipient and of the distribution. Items that are made are counted by
-- their recipient's delivery, since that decides their state.
local function phase(u, r, to)
  local from = r.p
  if from == nil then
    from = record(u, {'p'}).p
  end
  if from == to then
    return
  end
  put(r, 'p', to)
  local before, after = 'n:' .. from, 'n:' .. to
  local o = record('r' .. string.match(u, '%.(%d+)$'), {'v', 'n:made', before, after})
  add(o, before, -1)
  add(o, after, 1)
  count('i:' .. from, -1)
  if to == 'made' then
    count('m:' .. (o.v or ''), 1)
  else
    count('i:' .. to, 1)
  end
end

local function delivery(u, to)
  local r = record(u, {'v', 'n:made'})
  if r.v == to or not r.v then
    return
  end
  count('v:' .. r.v, -1)
  count('v:' .. to, 1)
  local made = tonumber(r['n:made']) or 0
  count('m:' .. r.v, -made)
  count('m:' .. to, made)
  put(r, 'v', to)
end

local finish
-- While a wish that steps run again is being fulfilled, steps of the whole distribution wait for that, too.
local function asking()
  return not cancelled and call('EXISTS', tag .. ':ask:' .. id) == 1
end

-- All that (u, s) waited for has ended, something of it well (ok) or nothing: it becomes ready, or ends, too.
local function decide(u, s, r, ok)
  local f = fields[s]
  local g = f.g
  if cancelled or (r[f.stop] and not r[f.bad]) then
    record(u, f.ending)
    finish(u, f, r, 'cancelled', 'cancelled', 'CANCELLED', 'cancelled')
  elseif r[f.bad] and (r[f.hard] or not (g.join == 'available' and ok)) then
    record(u, f.ending)
    finish(u, f, r, 'cancelled', 'bad', r[f.code], 'failed')
  else
    if r[f.code] then
      put(r, f.code, false)
    end
    if g.held and hold > now then
      -- The undo window is open: nothing reaches anybody before it is over.
      move(f, 'pending', 'retrying')
      put(r, s, 'retrying')
      put(r, f.due, hold)
      call('ZADD', later, hold, id .. '/' .. u .. '/' .. s)
    else
      move(f, 'pending', 'ready')
      put(r, s, 'ready')
      enqueue(u, s, g)
    end
  end
end

local told = 0 -- items that were told of a file's end here

-- One of the steps that (u, s) waits for has ended; with the last of them it becomes ready, or ends, too. A step of the
-- same unit (near) cannot be done without; of many items some may be missing, if the policy says so. of is the step of a file
-- whose items are told.
local function arrive(u, s, outcome, code, near, of)
  local f = fields[s]
  local g, r = f.g, record(u, f.arriving)
  if r[s] ~= 'pending' then
    return -- a step of a whole distribution that has ended hears of what was asked for again after it
  end
  local heard = f.heard and f.heard[of]
  if heard and r[heard] then
    return -- it has counted that end; the step was asked for again, and this one was not
  end
  -- Most steps wait for one other, so that is what no number means. Of the last arrival nothing needs to be kept.
  local left = (tonumber(r[f.w]) or 1) - 1
  local last = left <= 0 and not (u == 'd' and asking())
  if g.alone and r[f.w] then
    record(u, f.joining)
  end
  if not last then
    put(r, f.w, left)
    if heard then
      put(r, heard, '1')
    end
  end
  if outcome == 'ok' then
    if not last and not r[f.ok] then
      put(r, f.ok, '1')
    end
  elseif outcome == 'bad' then
    put(r, f.bad, '1')
    if not r[f.code] then
      put(r, f.code, code)
    end
    if near then
      put(r, f.hard, '1')
    end
  elseif outcome ~= 'left' then
    -- What was left out is neither there nor missing.
    put(r, f.stop, '1')
  end
  if last then
    decide(u, s, r, outcome == 'ok' or r[f.ok])
  end
end

-- The step (u, s) enters a final state: outcome is ok, bad, cancelled or left, and goes to whatever waits for it.
-- Of its record the caller has read what f.ending says.
finish = function(u, f, r, to, outcome, code, dv)
  local g, s = f.g, f.s
  move(f, r[s], to)
  put(r, s, to)
  put(r, f.ends, stamp)
  if code ~= '' then
    put(r, f.code, code)
  end
  count('open', -1)
  if g.delivers and dv ~= '' then
    delivery(u, dv)
  end
  if outcome == 'bad' and g.optional then
    outcome = 'ok'
  end
  if g.scope == 'item' then
    -- Whatever becomes of what is optional, who has their mail has it: also when it was cancelled.
    local mine = to == 'skipped' and 'skipped' or (outcome == 'ok' or g.optional) and 'made' or outcome == 'bad' and 'failed' or 'cancelled'
    if not r.z or graph.rank[mine] > graph.rank[r.z] then
      put(r, 'z', mine)
    end
    add(r, 'o', -1)
    if r.o == 0 then
      phase(u, r, r.z)
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
  if fan and graph.people > 0 and told < 200 then
    local file = string.sub(u, 2)
    for n = 1, graph.people do
      for _, dep in ipairs(g.deps) do
        if graph.steps[dep].scope == 'item' then
          told = told + 1
          arrive('i' .. file .. '.' .. n, dep, outcome, code, false, s)
        end
      end
    end
  elseif fan then
    local member = 'fan/' .. id .. '/' .. s .. '/' .. u
    call('HSET', dist, 'c:' .. member, '0:' .. outcome .. ':' .. code)
    call('ZADD', chores, now, member)
  end
end

local function long(u)
  return tag .. ':x:' .. id .. ':' .. u
end

local function settle(op, u, a, out)
  local s = op.s
  local f = fields[s]
  local g, r = f.g, record(u, f.ending)
  local state, code = r[s], op.code or ''
  if a > 0 and (tonumber(r[f.a]) ~= a or r[f.by] ~= op.w) then
    return 3
  end
  local to, outcome, dv = op.to, op.o or '', op.dv or ''
  if cancelled and op.alt then
    to, outcome, dv = op.alt.to, op.alt.o, op.alt.dv
  end
  if state == to then
    return 2
  end
  local allowed, from = false, op.from or graph.from
  for i = 1, #from do
    allowed = allowed or from[i] == state
  end
  if not allowed then
    return 3
  end
  local member = id .. '/' .. u .. '/' .. s
  local held, figures = nil, nil
  if state == 'running' then
    local by = released[r[f.by]]
    if not by then
      by = {}
      released[r[f.by]] = by
    end
    by[#by + 1] = member
    free(member, g, f.key and r[f.key])
    if limited[g.queue] or g.limits[1] or g.shared or f.key then
      -- What has no limit was held up by none, and is not asked.
      held = call('HGET', prefix .. u, s .. '.aside')
      if held then
        call('HDEL', prefix .. u, s .. '.aside')
        held = string.match(held, '^=(.+)$')
      end
    end
  end
  if op.tally then
    put(r, s .. '.err', op.tally[2])
    put(r, s .. '.crash', op.tally[3])
    put(r, s .. '.thr', op.tally[4])
  end
  if op.cp then
    -- How to ask for work that goes on elsewhere. What is long stands with the long things.
    if #op.cp > 64 or op.cp == '@' then
      call('HSET', long(u), f.cp, op.cp)
      put(r, f.cp, '@')
    else
      put(r, f.cp, op.cp)
    end
  elseif r[f.cp] and not op.keep then
    if r[f.cp] == '@' then
      call('HDEL', long(u), f.cp)
    end
    put(r, f.cp, false)
  end
  if op.dup then
    put(r, s .. '.dup', 1)
  end
  -- A document that three workers in a row were lost with is not handed out any more; any success clears it.
  if op.crash then
    local n, by = string.match(call('HGET', crashes, op.doc) or '', '^(%d+) (.*)$')
    if by ~= r[f.by] then
      call('HSET', crashes, op.doc, ((tonumber(n) or 0) + 1) .. ' ' .. r[f.by])
      call('EXPIRE', crashes, 604800)
    end
  elseif suspects and op.doc and to == 'done' then
    call('HDEL', crashes, op.doc)
  end
  if out ~= '' then
    local cut = string.find(out, '\n', 1, true)
    if cut then
      out, figures = string.sub(out, 1, cut - 1), string.sub(out, cut + 1)
    end
    if out ~= '' then
      call('HSET', long(u), s .. '.out', out)
    end
  end
  if op.msg then
    call('HSET', long(u), s .. '.msg', op.msg)
  end
  if op.ev then
    -- In one field, since there is one for each attempt: step, unit, attempt, when it started, how it ended, worker.
    local line = s .. ' ' .. u .. ' ' .. (r[f.a] or '0') .. ' ' .. (r[f.at] or '0') .. ' ' .. to .. ' ' .. (r[f.by] or '')
    if code == '' and not held then
      if figures then
        call('XADD', events, '*', 'e', line, 'x', figures)
      else
        call('XADD', events, '*', 'e', line)
      end
    else
      -- Why, when it is tried again, which limit it had waited for and how long, what the function gave beside its answer.
      local more = {'e', line}
      local function also(name, value)
        more[#more + 1] = name
        more[#more + 1] = value
      end
      if code ~= '' then
        also('c', code)
        also('m', op.msg or '')
        if op.due and to == 'retrying' then
          also('d', text(now + op.due))
        end
      end
      if held then
        also('l', held)
      end
      if figures then
        also('x', figures)
      end
      if g.delivers and to == 'failed' and dv ~= '' then
        also('v', dv)
      end
      call('XADD', events, '*', unpack(more))
    end
  end
  if op.told then
    call('XADD', events, '*', 'k', to, 'u', u, 's', s, 'w', op.told)
  end
  if outcome ~= '' then
    -- Only earlier attempts left a code.
    if to == 'done' and a ~= 1 and record(u, f.joining)[f.code] then
      put(r, f.code, false)
    end
    if state == 'retrying' then
      call('ZREM', later, member)
    end
    finish(u, f, r, to, outcome, code, dv)
    return 1
  end
  move(f, state, to)
  put(r, s, to)
  if code ~= '' then
    put(r, f.code, code)
  end
  if g.delivers and dv ~= '' then
    delivery(u, dv)
  end
  if op.due then
    put(r, f.due, now + op.due)
    call('ZADD', later, now + op.due, member)
  else
    if state == 'retrying' then
      call('ZREM', later, member)
    end
    enqueue(u, s, g)
  end
  return 1
end

local codes, moved = {}, chore ~= ''
for i = 1, #list, 4 do
  local op, u, code = kinds[list[i]], list[i + 1], 1
  if op.arrive then
    arrive(u, op.s, op.o, op.code or '', false, op.of)
  else
    code = settle(op, u, list[i + 2], list[i + 3])
  end
  codes[#codes + 1] = code
  moved = moved or code == 1
end

local asked = chore ~= '' and cursor == '' and (string.match(chore, '^retry/[^/]+/(.+)$') or string.match(chore, '^leave/[^/]+/(.+)$'))
if asked then
  -- Fulfilled: it was counted among what is open, and steps of the whole distribution may have waited for nothing else.
  count('open', -1)
  call('HDEL', tag .. ':ask:' .. id, asked)
  for s, g in pairs(graph.steps) do
    if g.scope == 'distribution' and not asking() then
      local f = fields[s]
      local r = record('d', f.arriving)
      if r[s] == 'pending' and r[f.w] == '0' then
        decide('d', s, r, r[f.ok])
      end
    end
  end
end

local set = {}
for u, r in pairs(units) do
  local n, last, gone = #r, 0, nil
  local seen = n > 12 and {} -- what many arrive at has a field changed by each
  for i = 1, n do
    local name = r[i]
    local value = r[name]
    if seen and seen[name] then
      value = nil
    elseif value then
      set[last + 1], set[last + 2] = name, type(value) == 'number' and text(value) or value
      last = last + 2
    else
      gone = gone or {}
      gone[#gone + 1] = name
    end
    if seen then
      seen[name] = true
    end
  end
  if last > 0 then
    call('HSET', prefix .. u, unpack(set, 1, last))
  end
  if gone then
    call('HDEL', prefix .. u, unpack(gone))
  end
end
for worker, members in pairs(released) do
  call('ZREM', tag .. ':w:' .. worker, unpack(members))
end
for fn, members in pairs(queued) do
  call('ZADD', tag .. ':q:' .. fn .. ':' .. production, unpack(members))
  join_turns(tag, passes, fn, production)
end
for field, by in pairs(counts) do
  if by ~= 0 then
    call('HINCRBY', dist, field, text(by))
  end
end
for s, f in pairs(fields) do
  for state, by in pairs(f.moved) do
    if by ~= 0 then
      call('HINCRBY', dist, 's:' .. s .. ':' .. state, text(by))
    end
  end
end

if chore ~= '' then
  if cursor == '' then
    call('HDEL', dist, 'c:' .. chore)
    call('ZREM', chores, chore)
  else
    call('HSET', dist, 'c:' .. chore, cursor)
  end
end

-- More failed than the policy tolerates: the rest is cancelled.
if graph.tolerate >= 0 and not cancelled and next(counts) then
  local failed = tonumber(call('HGET', dist, 'i:failed')) or 0
  for _, v in ipairs(graph.bad) do
    failed = failed + (tonumber(call('HGET', dist, 'm:' .. v)) or 0)
  end
  if failed > graph.tolerate then
    cancelled, stop = now, 'f'
    call('HSET', dist, 'cancel', now, 'stop', 'f', 'c:' .. graph.cancel, '0')
    call('ZADD', chores, now, graph.cancel)
    call('XADD', events, '*', 'k', 'stopped', 'c', 'TOO_MANY_FAILURES')
  end
end

local ended = ''
if counts.open and call('HGET', dist, 'open') == '0' then
  local good = 0
  for _, v in ipairs(graph.good) do
    good = good + (tonumber(call('HGET', dist, 'm:' .. v)) or 0)
  end
  local end_at = call('HMGET', dist, 'items', 'parent', 'counted')
  local bad = tonumber(end_at[1]) - good
  if bad == 0 then
    -- Items may be well, and yet not all is: a report at the end, say.
    for s, g in pairs(graph.steps) do
      local of = redis.call('HMGET', dist, 's:' .. s .. ':failed', 's:' .. s .. ':cancelled')
      if not g.optional and (tonumber(of[1]) or 0) + (tonumber(of[2]) or 0) > 0 then
        bad = 1
      end
    end
  end
  ended = graph.endings[(cancelled and (stop or 'c') or '-') .. (good > 0 and 'g' or '-') .. (bad > 0 and 'b' or '-')]
  call('HSET', dist, 'state', ended, 'ended', now)
  call('ZREM', open, id)
  call('ZADD', ended_key, now, id)
  if end_at[3] == '1' then
    -- Its items do not count against the quota any more.
    call('HSET', dist, 'counted', '0')
    if call('DECRBY', tag .. ':used:' .. production, end_at[1]) <= 0 then
      call('DEL', tag .. ':used:' .. production)
    end
  end
  call('XADD', events, '*', 'k', 'ended', 'to', ended)
  local pid, pu, ps = string.match(end_at[2] or '', '^([^/]+)/([^/]+)/([^/]+)$')
  if pid and call('HGET', tag .. ':u:' .. pid .. ':' .. pu, ps) == 'retrying' then
    -- The step that started this one asks at once.
    call('HSET', tag .. ':u:' .. pid .. ':' .. pu, ps .. '.due', now)
    call('ZADD', later, now, end_at[2])
  end
end
if moved then
  call('HINCRBY', dist, 'ver', 1)
  call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', production)
end
for fn in pairs(queued) do
  call('PUBLISH', tag .. ':wake', fn)
end
return {1, ended, codes}
