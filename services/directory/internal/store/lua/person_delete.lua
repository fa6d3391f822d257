#!lua
-- Removes a person, from all lists, too.
-- KEYS 1 person record, 2 index in the order of names, 3 index of what they are found by, 4 hash of ids by address, 5 index
--      of lists
-- ARGV 1 id, 2 what the keys of lists' people start with, before the list's id
-- Returns {code}
--   deleted  it is gone
--   absent   there was none
local record, order, terms, addresses, lists = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, members = ARGV[1], ARGV[2]

local have = redis.call('HMGET', record, 'words', 'address')
if not have[1] then
  return {'absent'}
end
for i, word in ipairs(cjson.decode(have[1])) do
  redis.call('ZREM', i == 1 and order or terms, word .. '\0' .. id)
end
redis.call('HDEL', addresses, have[2])
for _, member in ipairs(redis.call('ZRANGE', lists, 0, -1)) do
  redis.call('ZREM', members .. string.match(member, '%z(.*)$'), id)
end
redis.call('DEL', record)
return {'deleted'}
