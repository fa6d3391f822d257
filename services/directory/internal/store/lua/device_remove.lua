#!lua
-- Removes a device, whosever it is.
-- KEYS 1 device record
-- ARGV 1 device, 2 what the keys of indexes start with, before the person
-- Returns {code}
--   removed  it was there
--   absent   it was not
local record = KEYS[1]
local device, indexes = ARGV[1], ARGV[2]

local person = redis.call('HGET', record, 'person')
if not person then
  return {'absent'}
end
redis.call('DEL', record)
redis.call('ZREM', indexes .. person, device)
return {'removed'}
