#!lua
-- Sets all of a person.
-- KEYS 1 person record, 2 index in the order of names, 3 index of what they are found by, 4 hash of ids by address
-- ARGV 1 id, 2 the revision that there must be, '0' for any, 3 address in the form that is compared, 4 name, 5 e-mail,
--      6 fields as JSON, 7 words for the indexes, as of people_put
-- Returns {code}
--   updated  it is so now
--   already  it was so, whatever its revision
--   changed  it has another revision
--   taken    the address is another person's
--   absent   there is no such person
local record, order, terms, addresses = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, revision, address, name, email, fields, words = unpack(ARGV)

local have = redis.call('HMGET', record, 'name', 'email', 'fields', 'words', 'revision', 'address')
if not have[1] then
  return {'absent'}
end
local old, new = cjson.decode(have[3]), cjson.decode(fields)
local same = have[1] == name and have[2] == email
for field, value in pairs(old) do same = same and new[field] == value end
for field, value in pairs(new) do same = same and old[field] == value end
if same then
  return {'already'}
end
if revision ~= '0' and revision ~= have[5] then
  return {'changed'}
end
local holder = redis.call('HGET', addresses, address)
if holder and holder ~= id then
  return {'taken'}
end
redis.call('HDEL', addresses, have[6])
redis.call('HSET', addresses, address, id)
for i, word in ipairs(cjson.decode(have[4])) do
  redis.call('ZREM', i == 1 and order or terms, word .. '\0' .. id)
end
for i, word in ipairs(cjson.decode(words)) do
  redis.call('ZADD', i == 1 and order or terms, 0, word .. '\0' .. id)
end
local time = redis.call('TIME')
redis.call('HSET', record, 'name', name, 'email', email, 'address', address, 'fields', fields, 'words', words,
  'updated', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('HINCRBY', record, 'revision', 1)
return {'updated'}
