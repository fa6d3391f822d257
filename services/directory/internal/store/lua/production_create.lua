#!lua
-- Creates a production unless there is one with that id.
-- KEYS 1 production record
-- ARGV 1 name, 2 '1' if it takes documents that open without a password, else ''
-- Returns {code, name, created in ms, open restricted}: the record as it is now.
--   created  it was made by this call
--   exists   it was there, under the name that is returned
local record = KEYS[1]
local name, open = ARGV[1], ARGV[2]

local have = redis.call('HMGET', record, 'name', 'created', 'open_restricted')
if have[1] then
  return {'exists', have[1], have[2], have[3] or ''}
end
local time = redis.call('TIME')
local created = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', record, 'name', name, 'created', string.format('%.0f', created), 'open_restricted', open)
return {'created', name, string.format('%.0f', created), open}
