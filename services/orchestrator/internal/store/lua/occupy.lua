#!lua
-- Occupy takes slots of a limit for a part of a task, all of them or none, and prolongs those that it has.
-- KEYS  1 limit  2 its holders  3 unit
-- ARGV  1 lease in ms  2 step  3 attempt  4 worker  5… holders, at most 1000
-- Returns 1 taken, 2 fenced: the task is over or somebody else's, 3 there is no room.
local limit, held, unit = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = redis.call('HMGET', unit, ARGV[2], ARGV[2] .. '.a', ARGV[2] .. '.by')
if at[1] ~= 'running' or at[2] ~= ARGV[3] or at[3] ~= ARGV[4] then
  return 2
end
local r = redis.call('HMGET', limit, 'max', 'till', 'trial', 'st')
local most = r[3] and 1 or tonumber(r[1]) or 0
redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
local taken, new = redis.call('ZCARD', held), 0
for i = 5, #ARGV do
  if not redis.call('ZSCORE', held, ARGV[i]) then
    new = new + 1
  end
end
if new > 0 and r[4] and r[4] ~= 'ready' then
  redis.call('HSET', limit, 'wanted', now) -- a resource that is still to be made, or is going
  return 3
end
if new > 0 and ((tonumber(r[2]) or 0) > now or (most > 0 and taken + new > most)) then
  return 3
end
for i = 5, #ARGV do
  redis.call('ZADD', held, now + ARGV[1], ARGV[i])
end
return 1
