#!lua
-- Checkpoint records what an attempt is about to do, if it may, and prolongs its lease.
-- KEYS  1 distribution  2 unit  3 the worker's leases
-- ARGV  1 member of leases  2 step  3 attempt  4 worker  5 what is recorded  6 lease in ms
-- Returns 1 recorded, 2 fenced: the attempt is over or somebody else's, 3 the distribution was cancelled.
local dist, unit, leases = unpack(KEYS)
local member, step = ARGV[1], ARGV[2]
local at = redis.call('HMGET', unit, step, step .. '.a', step .. '.by')
if at[1] ~= 'running' or at[2] ~= ARGV[3] or at[3] ~= ARGV[4] then
  return 2
end
if redis.call('HGET', dist, 'cancel') then
  return 3
end
local time = redis.call('TIME')
redis.call('HSET', unit, step .. '.cp', ARGV[5])
redis.call('ZADD', leases, time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[6], member)
return 1
