#!lua
-- Creates a production unless there is one with that id.
-- KEYS 1 production record
-- ARGV 1 name
-- Returns {code, name, created in ms}: the record as it is now.
--   created  it was made by this call
--   exists   it was there, under the name that is returned
local record = KEYS[1]
local name = ARGV[1]

local have = redis.call('HMGET', record, 'name', 'created')
if have[1] then
  return {'exists', have[1], have[2]}
end
local time = redis.call('TIME')
local created = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', record, 'name', name, 'created', string.format('%.0f', created))
return {'created', name, string.format('%.0f', created)}
