#!lua
-- Claim hands ready steps to a worker and starts their leases: what is allowed, fair between productions by weight, within
-- one by rank (priority, then deadline), and spread evenly over the workers that wait for the same function. A step whose
-- limit is full, or whose key is taken, is put aside with that limit and comes back when a place is free.
-- KEYS  1 workers  2 leases of this worker  3 paused  4 weights  5 passes  6 limits to look at  7 that the worker is drained
--       8… three per function: productions with ready steps, workers waiting for it, workers serving it
-- ARGV  1 worker  2 lease in ms  3 slots it has free  4 how many at most (100)  5 how long a waiting worker counts, in ms
--       6 steps to which studio limits were granted: [[function, production, member, where it was put aside], …]
--       7… the functions; none when such steps are started
-- Returns {tasks, wants, draining}: tasks, those of each function and production {function, production, then of each member, attempt,
--         checkpoint of the last attempt or ''}; wants {member, function, production, studio limits it needs with spaces
--         between}; draining 1 when the worker is to get nothing.
local workers, leases, paused_key, weights, passes, timed, drained = unpack(KEYS)
local worker, lease, slots, most, patience = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local tag = string.match(leases, '^{[^}]*}')
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tasks, wants, dists, counts, gates, limited, leased, names, began = {}, {}, {}, {}, {}, {}, {}, {}, {}
local taken = 0 -- steps started
local draining = 0
local looked = 0 -- steps taken out of queues; bounds the work of one call

-- Redis writes a number that it is given as a floating-point one, which is slow; whole ones go as text.
local texts = {}
local function text(n)
  local t = texts[n]
  if not t then
    t = string.format('%d', n)
    texts[n] = t
  end
  return t
end

local stamp, untilms = text(now), text(now + lease)

local function count(key, field, by)
  local c = counts[key]
  if not c then
    c = {}
    counts[key] = c
  end
  c[field] = (c[field] or 0) + by
end

-- A limit as it stands: how many it allows at once, how many are taken, and when the next may start.
local function gate(production, name)
  local id = production .. ':' .. name
  local g = gates[id]
  if g then
    return g
  end
  g = {key = tag .. ':g:' .. id, held = tag .. ':gh:' .. id, aside = tag .. ':gw:' .. id, id = id, most = 0, from = 0}
  if string.sub(name, 1, 2) == 'k/' then
    g.most = 1
  else
    local r = call('HMGET', g.key, 'max', 'rate', 'burst', 'tat', 'till', 'trial', 'st')
    g.closed = r[7] and r[7] ~= 'ready' -- a resource that is still to be made, or is going
    g.most, g.rate = tonumber(r[1]) or 0, tonumber(r[2]) or 0
    g.till = tonumber(r[5]) or 0
    g.from = g.till
    if r[6] then
      g.most = 1 -- its breaker was open: one may try
    end
    if g.rate > 0 then
      g.every = 1000 / g.rate
      g.slack = (math.max(tonumber(r[3]) or 1, 1) - 1) * g.every
      g.tat = tonumber(r[4]) or 0
      g.from = math.max(g.from, g.tat - g.slack)
    end
    if g.most > 0 then
      call('ZREMRANGEBYSCORE', g.held, '-inf', now) -- slots whose task went without a word
    end
  end
  g.taken = g.most > 0 and call('ZCARD', g.held) or 0
  gates[id] = g
  return g
end

-- Somebody needs these resources: those that are not there are to be made, all at once.
local function want(all)
  for _, g in ipairs(all) do
    if g.closed and not g.wanted then
      g.wanted = true
      call('HSET', g.key, 'wanted', now)
    end
  end
end

local function pass(g, member)
  g.taken = g.taken + 1
  call('ZADD', g.held, '+inf', member)
  if g.rate and g.rate > 0 then
    g.tat = math.max(g.tat, now) + g.every
    g.from = math.max(g.till, g.tat - g.slack)
    call('HSET', g.key, 'tat', g.tat)
  end
end

-- Whether a function has a limit in a production.
local function has_limit(production, fn)
  local of = limited[fn]
  if not of then
    of = {}
    limited[fn] = of
  end
  if of[production] == nil then
    of[production] = call('EXISTS', tag .. ':g:' .. production .. ':' .. fn) == 1
  end
  return of[production]
end

-- What is needed of a distribution, and of each step of it that is met: the limits that it occupies.
local function about_of(id)
  local about = dists[id]
  if not about then
    local got = call('HMGET', tag .. ':d:' .. id, 'state', 'cancel', 'started', 'dstep')
    about = {runs = got[1] == 'running' and not got[2], started = got[3], delivers = got[4], steps = {}}
    dists[id] = about
  end
  return about
end

local function step_of(id, about, s)
  local step = {started = 0, limits = {}}
  for name in string.gmatch(call('HGET', tag .. ':d:' .. id, 'g:' .. s) or '', '%S+') do
    if string.sub(name, 1, 7) ~= 'studio/' then
      table.insert(step.limits, name)
    else
      step.studio = step.studio and step.studio .. ' ' .. name or name
    end
  end
  about.steps[s] = step
  return step
end

-- Of a step that is looked at in its queue the rank is read when it is needed; one that was put aside brings it. Those that
-- are started stand in group.
--
-- Where a step was put aside, and since when, stands in its record as "key ms"; when it starts, for how long it waited for
-- which limit, as "=name ms", for whoever ends the attempt to tell.
local function start(member, queue, score, production, fn, granted, group)
  local id, u, s = string.match(member, '^([^/]+)/([^/]+)/([^/]+)$')
  local k = tag .. ':u:' .. id .. ':' .. u
  local about = dists[id] or about_of(id)
  local step = about.steps[s] or step_of(id, about, s)
  local f = names[s]
  if not f then
    f = {a = s .. '.a', cp = s .. '.cp', key = s .. '.key', aside = s .. '.aside', by = s .. '.by', at = s .. '.at'}
    names[s] = f
  end
  local at
  if about.delivers == s then
    at = call('HMGET', k, s, f.a, f.cp, f.key, f.aside, 'p', 'v', 'n:made')
  else
    at = call('HMGET', k, s, f.a, f.cp, f.key, f.aside, 'p')
  end
  if at[1] ~= 'ready' or not about.runs then
    return false -- stale: the record is the truth; the sweep, the cancellation or the resumption takes care of it
  end
  local mine, studio = nil, not granted and step.studio
  local since = at[5] and string.match(at[5], '^{.* (%d+)$')
  local whole = has_limit(production, fn)
  if whole or at[4] or step.limits[1] then
    mine = {whole and gate(production, fn) or nil}
    for _, name in ipairs(step.limits) do
      mine[#mine + 1] = gate(production, name)
    end
    if at[4] then
      mine[#mine + 1] = gate(production, 'k/' .. at[4])
    end
    for _, g in ipairs(mine) do
      if g.closed or g.from > now or (g.most > 0 and g.taken >= g.most) then
        want(mine)
        call('HSET', k, f.aside, g.aside .. ' ' .. (since or stamp))
        call('ZADD', g.aside, score or call('ZSCORE', queue, member), fn .. ' ' .. member)
        -- When somebody should look again: at the time, or in a second, should the one who makes room die before saying so.
        call('ZADD', timed, g.from > now and g.from or now + 1000, g.id)
        return false
      end
    end
  end
  if studio then
    local aside = tag .. ':gw:' .. string.match(studio, '%S+')
    call('HSET', k, f.aside, aside .. ' ' .. (since or stamp))
    call('ZADD', aside, score or call('ZSCORE', queue, member), fn .. ' ' .. member)
    call('SADD', tag .. ':gws', string.match(studio, '%S+'))
    wants[#wants + 1] = {member, fn, production, studio}
    return false
  end
  for _, g in ipairs(mine or {}) do
    pass(g, member)
  end
  if since then
    local name = string.match(at[5], ':gw:(.+) %d+$')
    call('HSET', k, f.aside, '=' .. (string.match(name, '^[^/:]+:(.+)$') or name) .. ' ' .. text(math.max(now - since, 0)))
  elseif at[5] then
    call('HDEL', k, f.aside)
  end
  local attempt = text((tonumber(at[2]) or 0) + 1)
  if at[6] == 'pending' then
    call('HSET', k, s, 'running', f.a, attempt, f.by, worker, f.at, stamp, 'p', 'running')
    local r = tag .. ':u:' .. id .. ':r' .. string.match(u, '%.(%d+)$')
    began[r] = (began[r] or 0) + 1
    about.began = (about.began or 0) + 1
  else
    call('HSET', k, s, 'running', f.a, attempt, f.by, worker, f.at, stamp)
  end
  leased[#leased + 1] = untilms
  leased[#leased + 1] = member
  step.started = step.started + 1
  if not about.started then
    about.started = now
    call('HSET', tag .. ':d:' .. id, 'started', now)
    call('XADD', tag .. ':ev:' .. id, '*', 'k', 'started')
  end
  if about.delivers == s then
    local dist, made = tag .. ':d:' .. id, tonumber(at[8]) or 0
    call('HSET', k, 'v', 'sending')
    count(dist, 'v:' .. at[7], -1)
    count(dist, 'v:sending', 1)
    count(dist, 'm:' .. at[7], -made)
    count(dist, 'm:sending', made)
  end
  local cp = at[3] or ''
  if cp == '@' then
    cp = call('HGET', tag .. ':x:' .. id .. ':' .. u, f.cp) or ''
  end
  local n = #group
  group[n + 1], group[n + 2], group[n + 3] = member, attempt, cp
  taken = taken + 1
  return true
end

-- How many more this worker may take, so that all that wait for the function have about the same.
local function share(ready, awaiting)
  local mine = call('ZCARD', leases) + taken
  local others = call('ZRANGEBYSCORE', awaiting, now - patience, '+inf', 'LIMIT', 0, 200)
  local all, n, least = mine, 1, nil
  for _, other in ipairs(others) do
    if other ~= worker then
      local running = call('ZCARD', tag .. ':w:' .. other)
      all, n = all + running, n + 1
      if not least or running < least then
        least = running
      end
    end
  end
  if not least then
    return slots
  end
  return math.max(math.floor((all + ready) / n) - mine, least - mine + 1)
end

local function paused(what)
  return call('SISMEMBER', paused_key, what) == 1
end

local function serve(i)
  local fn = ARGV[i + 6]
  local index, awaiting, serving = KEYS[3 * i + 5], KEYS[3 * i + 6], KEYS[3 * i + 7]
  call('ZADD', serving, now, worker)
  if paused('f ' .. fn) then
    return
  end
  local allowed -- counted when there is something to share
  while taken < most and looked < 200 do
    local two = call('ZRANGE', index, 0, 1, 'WITHSCORES')
    if #two == 0 then
      break
    end
    local production, at = two[1], tonumber(two[2])
    local queue = tag .. ':q:' .. fn .. ':' .. production
    if paused('p ' .. production) or paused('b ' .. fn .. ' ' .. production) then
      call('ZREM', index, production) -- whoever resumes it puts it back
      call('HSET', passes, fn .. ' ' .. production, at)
    else
      if not allowed then
        local ready = 0
        for _, p in ipairs(call('ZRANGE', index, 0, 50)) do
          ready = ready + call('ZCARD', tag .. ':q:' .. fn .. ':' .. p)
        end
        allowed = math.min(most, taken + share(ready, awaiting))
      end
      if taken >= allowed then
        break
      end
      local weight = tonumber(call('HGET', weights, production)) or 1
      -- As many as it may have before it is the next one's turn.
      local turn = allowed - taken
      if two[3] then
        turn = math.min(turn, math.floor((tonumber(two[4]) - at) * weight) + 1)
      end
      -- Without ranks, which few need: those are put aside.
      local got = call('ZRANGE', queue, 0, math.min(turn, 200 - looked) - 1)
      local before, group = taken, {fn, production}
      for j = 1, #got do
        looked = looked + 1
        start(got[j], queue, nil, production, fn, false, group)
      end
      local started = taken - before
      if started > 0 then
        tasks[#tasks + 1] = group
      end
      if #got > 0 then
        call('ZREMRANGEBYRANK', queue, 0, #got - 1)
      end
      if #got == 0 then
        call('ZREM', index, production)
        call('HSET', passes, fn .. ' ' .. production, at)
      elseif started > 0 then
        call('ZINCRBY', index, started / weight, production)
      end
    end
    looked = looked + 1
  end
end

if most > slots then
  most = slots
end
if ARGV[6] ~= '[]' then
  for _, g in ipairs(cjson.decode(ARGV[6])) do
    local score = call('ZSCORE', g[4], g[1] .. ' ' .. g[3])
    if score then
      call('ZREM', g[4], g[1] .. ' ' .. g[3])
      local group = {g[1], g[2]}
      if start(g[3], nil, score, g[2], g[1], true, group) then
        tasks[#tasks + 1] = group
      end
    end
  end
else
  call('ZADD', workers, now, worker)
  -- One that is drained is there, and neither takes nor shares anything. It stays so as long as it calls.
  local kept = call('GET', drained)
  if kept then
    draining = 1
    call('PEXPIRE', drained, kept)
  end
  for i = 1, #ARGV - 6 do
    if kept then
      call('ZADD', KEYS[3 * i + 7], now, worker)
    else
      serve(i)
    end
  end
  -- It waits for more as long as it has room; a full one does not count among those that share.
  for i = 1, #ARGV - 6 do
    if taken < slots and not kept then
      call('ZADD', KEYS[3 * i + 6], now, worker)
    else
      call('ZREM', KEYS[3 * i + 6], worker)
    end
  end
end
if #leased > 0 then
  call('ZADD', leases, unpack(leased))
end
for id, about in pairs(dists) do
  local dist = tag .. ':d:' .. id
  for s, step in pairs(about.steps) do
    if step.started > 0 then
      count(dist, 's:' .. s .. ':ready', -step.started)
      count(dist, 's:' .. s .. ':running', step.started)
    end
  end
  if about.began then
    count(dist, 'i:pending', -about.began)
    count(dist, 'i:running', about.began)
  end
end
for r, n in pairs(began) do
  call('HINCRBY', r, 'n:pending', text(-n))
  call('HINCRBY', r, 'n:running', text(n))
end
for key, fields in pairs(counts) do
  for field, by in pairs(fields) do
    if by ~= 0 then
      call('HINCRBY', key, field, text(by))
    end
  end
end
return {tasks, wants, draining}
