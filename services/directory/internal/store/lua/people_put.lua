#!lua
-- Adds people, or changes them by their addresses.
-- KEYS 1 production record, 2 index in the order of names, 3 index of what they are found by, 4 hash of ids by address
-- ARGV 1 'merge', or 'create' to change nobody, 2 what the keys of records start with, before the id, 3 how many people a
--      production may have, and for each person: id if new, address in the form that is compared, name, e-mail, fields as JSON,
--      as a JSON array the words for the indexes: the first for KEYS[2], the others for KEYS[3]; each has the id after a zero
--      byte there
-- Returns {code, and for each person an outcome and an id}
--   put            the outcomes say what became of each: 'added'; 'changed'; 'unchanged', they were so; 'taken', the address is
--                  another's and nobody is to be changed; 'full', there are as many as there may be; 'fields', with what there
--                  was there would be more than 32
--   no_production  there is no such production
local production, order, terms, addresses = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local merge, records, most = ARGV[1] == 'merge', ARGV[2], tonumber(ARGV[3])

if redis.call('EXISTS', production) == 0 then
  return {'no_production'}
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local function index(command, id, words)
  for i, word in ipairs(cjson.decode(words)) do
    local key, member = i == 1 and order or terms, word .. '\0' .. id
    if command == 'ZADD' then
      redis.call('ZADD', key, 0, member)
    else
      redis.call('ZREM', key, member)
    end
  end
end

local reply = {'put'}
for at = 4, #ARGV, 6 do
  local id, address, name, email, fields, words = unpack(ARGV, at, at + 5)
  local there = redis.call('HGET', addresses, address)
  local outcome = 'added'
  if there then
    id, outcome = there, 'unchanged'
    local have = redis.call('HMGET', records .. id, 'name', 'email', 'fields', 'words')
    local old, new, kept, count = cjson.decode(have[3]), cjson.decode(fields), {}, 0
    local differs = have[1] ~= name or have[2] ~= email
    for field, value in pairs(old) do
      kept[field] = value
      count = count + 1
      differs = differs or not merge and new[field] ~= value
    end
    for field, value in pairs(new) do
      count = old[field] and count or count + 1
      differs = differs or old[field] ~= value
      kept[field] = value
    end
    if differs and not merge then
      outcome = 'taken'
    elseif differs and count > 32 then
      outcome = 'fields'
    elseif differs then
      outcome = 'changed'
      index('ZREM', id, have[4])
      index('ZADD', id, words)
      redis.call('HSET', records .. id, 'name', name, 'email', email, 'fields', cjson.encode(kept), 'words', words, 'updated', now)
      redis.call('HINCRBY', records .. id, 'revision', 1)
    end
  elseif redis.call('HLEN', addresses) >= most then
    outcome = 'full'
  else
    redis.call('HSET', records .. id, 'name', name, 'email', email, 'address', address, 'fields', fields, 'words', words,
      'created', now, 'updated', now, 'revision', 1)
    redis.call('HSET', addresses, address, id)
    index('ZADD', id, words)
  end
  table.insert(reply, outcome)
  table.insert(reply, id)
end
return reply
