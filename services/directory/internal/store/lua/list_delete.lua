#!lua
-- Removes a list; its people stay.
-- KEYS 1 list record, 2 index of lists, 3 the list's people
-- ARGV 1 id
-- Returns {code}
--   deleted  it is gone
--   absent   there was none
local record, lists, people = KEYS[1], KEYS[2], KEYS[3]
local id = ARGV[1]

local word = redis.call('HGET', record, 'word')
if not word then
  return {'absent'}
end
redis.call('ZREM', lists, word .. '\0' .. id)
redis.call('UNLINK', record, people)
return {'deleted'}
