#!lua
-- Records a document of a production, once for each SHA-256; one that was recorded before stays as it is.
-- KEYS 1 production record, 2 file record, 3 index of files, 4 counter of files
-- ARGV 1 sha256, 2 name, 3 size in bytes
-- Returns {code}
--   created        it was recorded by this call
--   exists         it was there
--   no_production  there is no such production
local production, record, index, counter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local sha256, name, size = ARGV[1], ARGV[2], ARGV[3]

if redis.call('EXISTS', production) == 0 then
  return {'no_production'}
end
if redis.call('EXISTS', record) == 1 then
  return {'exists'}
end
local time = redis.call('TIME')
local created = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local seq = redis.call('INCR', counter)
redis.call('HSET', record, 'name', name, 'size', size, 'created', created, 'seq', seq, 'verdict', 'unknown')
redis.call('ZADD', index, seq, sha256)
return {'created'}
