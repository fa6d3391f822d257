#!lua
-- Claim hands ready steps to a worker, earliest deadline first within each queue, and starts their leases.
-- KEYS  1 leases  2… queues, in the worker's order
-- ARGV  1 worker  2 lease in ms  3 how many at most (100)
-- Returns a list of {distribution, unit, step, attempt, checkpoint of the last attempt or '', production}.
local leases = KEYS[1]
local worker, lease, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local tag = string.match(leases, '^{[^}]*}')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tasks, popped = {}, 0

local function start(member)
  local id, u, s = string.match(member, '^([^/]+)/([^/]+)/([^/]+)$')
  local dist, k = tag .. ':d:' .. id, tag .. ':u:' .. id .. ':' .. u
  local about = redis.call('HMGET', dist, 'state', 'cancel', 'production')
  local at = redis.call('HMGET', k, s, s .. '.a', s .. '.cp', 'dstep', 'v', 'p', 'n:made')
  if at[1] ~= 'ready' or about[1] ~= 'running' or about[2] then
    return -- stale: the record is the truth, and the sweep or the cancellation takes care of it
  end
  local attempt = (tonumber(at[2]) or 0) + 1
  redis.call('HSET', k, s, 'running', s .. '.a', attempt, s .. '.by', worker, s .. '.at', now)
  redis.call('ZADD', leases, now + lease, member)
  redis.call('HINCRBY', dist, 's:' .. s .. ':ready', -1)
  redis.call('HINCRBY', dist, 's:' .. s .. ':running', 1)
  if redis.call('HSETNX', dist, 'started', now) == 1 then
    redis.call('XADD', tag .. ':ev:' .. id, '*', 'k', 'started')
  end
  if at[6] == 'pending' then
    local r = tag .. ':u:' .. id .. ':r' .. string.match(u, '%.(%d+)$')
    redis.call('HSET', k, 'p', 'running')
    redis.call('HINCRBY', r, 'n:pending', -1)
    redis.call('HINCRBY', r, 'n:running', 1)
    redis.call('HINCRBY', dist, 'i:pending', -1)
    redis.call('HINCRBY', dist, 'i:running', 1)
  end
  if at[4] == s then
    local made = tonumber(at[7]) or 0
    redis.call('HSET', k, 'v', 'sending')
    redis.call('HINCRBY', dist, 'v:' .. at[5], -1)
    redis.call('HINCRBY', dist, 'v:sending', 1)
    redis.call('HINCRBY', dist, 'm:' .. at[5], 0 - made) -- not -made: -0 is no integer to Redis
    redis.call('HINCRBY', dist, 'm:sending', made)
  end
  tasks[#tasks + 1] = {id, u, s, attempt, at[3] or '', about[3]}
end

for q = 2, #KEYS do
  while #tasks < most and popped < 200 do
    local head = redis.call('ZPOPMIN', KEYS[q])
    if #head == 0 then
      break
    end
    popped = popped + 1
    start(head[1])
  end
end
return tasks
