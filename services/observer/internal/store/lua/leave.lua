#!lua
-- Leave forgets an observer, and lets another be the one that looks at rules if it was.
-- KEYS  1 leader  2 beats
-- ARGV  1 name of the observer
-- Returns 1 if it was the one, else 0.
redis.call('HDEL', KEYS[2], ARGV[1])
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
