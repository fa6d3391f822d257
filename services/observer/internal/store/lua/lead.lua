#!lua
-- Lead makes one observer the one that looks at rules, for a while, and notes that it is there.
-- KEYS  1 leader  2 beats
-- ARGV  1 name of the observer  2 for how long, in ms
-- Returns 1 if it is the one, else 0.
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], ARGV[1], time[1] * 1000 + math.floor(time[2] / 1000))
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
