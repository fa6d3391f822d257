#!lua
-- Layout writes the records of one slice of a distribution's units; the last slice sets it running.
-- KEYS  1 distribution  2 its events  3 chores  4 changed
-- ARGV  1 distribution id  2 plan chore  3 cursor as the caller read it  4 cursor from now on, or '' after the last slice
--       5 units, at most 100: [[unit, [field, value, …]], …]  6 steps that are ready at once: [[unit, step, queue], …]
-- Returns 1, or 0 when the cursor was not as expected: somebody else laid out this slice.
local dist, events, chores, changed = unpack(KEYS)
local id, chore, expected, cursor = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local tag = string.match(dist, '^{[^}]*}')
if redis.call('HGET', dist, 'c:' .. chore) ~= expected then
  return 0
end
for _, u in ipairs(cjson.decode(ARGV[5])) do
  redis.call('HSET', tag .. ':u:' .. id .. ':' .. u[1], unpack(u[2]))
end
local deadline = redis.call('HGET', dist, 'deadline')
local woken = {}
for _, r in ipairs(cjson.decode(ARGV[6])) do
  redis.call('ZADD', tag .. ':q:' .. r[3], deadline, id .. '/' .. r[1] .. '/' .. r[2])
  woken[r[3]] = true
end
if cursor == '' then
  redis.call('HDEL', dist, 'c:' .. chore)
  redis.call('ZREM', chores, chore)
  redis.call('HINCRBY', dist, 'ver', 1)
  redis.call('HSET', dist, 'state', 'running')
  redis.call('XADD', events, '*', 'k', 'planned')
  redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', redis.call('HGET', dist, 'production'))
else
  redis.call('HSET', dist, 'c:' .. chore, cursor)
end
for queue in pairs(woken) do
  redis.call('PUBLISH', tag .. ':wake', queue)
end
return 1
