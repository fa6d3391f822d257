#!lua
-- Begins with lib/turns.lua.
-- Layout writes the records of one slice of a distribution's units, of which the last sets it running, or queues one slice
-- of the steps that are ready at once.
-- KEYS  1 distribution  2 its events  3 chores  4 changed  5 passes
-- ARGV  1 distribution id  2 plan chore  3 cursor as the caller read it  4 cursor from now on, or '' after the last slice
--       5 units, at most 100: {kinds: [[field, value, …], …], list: [number of its kind, unit, …]}
--       6 steps that are ready at once, at most 100: {kinds: [[step, function, rank], …], list: [number of its kind, unit, …]},
--         none before all records are there  7 'runs' with the last records, or '-'
-- Returns 1, or 0 when the cursor was not as expected: somebody else laid out this slice.
local dist, events, chores, changed, passes = unpack(KEYS)
local id, chore, expected, cursor = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local tag = string.match(dist, '^{[^}]*}')
if redis.call('HGET', dist, 'c:' .. chore) ~= expected then
  return 0
end
local units, ready = cjson.decode(ARGV[5]), cjson.decode(ARGV[6])
local prefix = tag .. ':u:' .. id .. ':'
for i = 1, #units.list, 2 do
  redis.call('HSET', prefix .. units.list[i + 1], unpack(units.kinds[units.list[i]]))
end
local about = redis.call('HMGET', dist, 'deadline', 'production', 'pause')
local deadline, production = tonumber(about[1]), about[2]
local queued = {}
for i = 1, #ready.list, 2 do
  local kind = ready.kinds[ready.list[i]]
  local q = queued[kind[2]] or {}
  queued[kind[2]] = q
  q[#q + 1] = string.format('%d', kind[3] + deadline)
  q[#q + 1] = id .. '/' .. ready.list[i + 1] .. '/' .. kind[1]
end
for fn, members in pairs(queued) do
  redis.call('ZADD', tag .. ':q:' .. fn .. ':' .. production, unpack(members))
  join_turns(tag, passes, fn, production)
end
if cursor == '' then
  redis.call('HDEL', dist, 'c:' .. chore)
  redis.call('ZREM', chores, chore)
else
  redis.call('HSET', dist, 'c:' .. chore, cursor)
end
if ARGV[7] == 'runs' then
  redis.call('HINCRBY', dist, 'ver', 1)
  redis.call('HSET', dist, 'state', about[3] and 'paused' or 'running')
  redis.call('XADD', events, '*', 'k', 'planned')
  redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', production)
end
for queue in pairs(queued) do
  redis.call('PUBLISH', tag .. ':wake', queue)
end
return 1
