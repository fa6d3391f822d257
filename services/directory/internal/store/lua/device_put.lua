#!lua
-- Records a device as a person's, or refreshes it. A device that was another person's is that person's no more. Beyond
-- the number that a person may have, those go that were refreshed longest ago.
-- KEYS 1 production record, 2 device record, 3 index of the person's devices
-- ARGV 1 device, 2 person, 3 e-mail, 4 platform, 5 sealed token, 6 how many a person may have, 7 what the keys of
--      indexes start with, before the person, 8 what the keys of records start with, before the device
-- Returns {code, time in ms}
--   put            it is the person's since that time
--   no_production  there is no such production; without a time
local production, record, index = KEYS[1], KEYS[2], KEYS[3]
local device, person, email, platform, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local most, indexes, records = tonumber(ARGV[6]), ARGV[7], ARGV[8]

if redis.call('EXISTS', production) == 0 then
  return {'no_production'}
end
local before = redis.call('HGET', record, 'person')
if before and before ~= person then
  redis.call('ZREM', indexes .. before, device)
end
local time = redis.call('TIME')
local registered = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', record, 'person', person, 'email', email, 'platform', platform, 'token', token, 'registered', registered)
redis.call('ZADD', index, string.format('%.0f', time[1] * 1000000 + time[2]), device)
local over = redis.call('ZCARD', index) - most
if over > 0 then
  for _, old in ipairs(redis.call('ZRANGE', index, 0, over - 1)) do
    redis.call('DEL', records .. old)
    redis.call('ZREM', index, old)
  end
end
return {'put', registered}
