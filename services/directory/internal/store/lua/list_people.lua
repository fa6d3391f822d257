#!lua
-- Puts people into a list, or takes them out.
-- KEYS 1 list record, 2 the list's people
-- ARGV 1 'add' or 'remove', 2 what the keys of people's records start with, before the id, 3 how many may be in a list,
--      and ids
-- Returns {code, how many this call changed or the id that there is not, how many are in it}
--   done       they are in it, or not in it
--   no_person  one of those to add is not there; nothing was changed
--   full       there would be more than there may be; nothing was changed
--   absent     there is no such list; without the others
local record, people = KEYS[1], KEYS[2]
local add, records, most = ARGV[1] == 'add', ARGV[2], tonumber(ARGV[3])

if redis.call('EXISTS', record) == 0 then
  return {'absent'}
end
local changing, seen = {}, {}
for at = 4, #ARGV do
  local id = ARGV[at]
  if add and redis.call('EXISTS', records .. id) == 0 then
    return {'no_person', id, '0'}
  end
  local is = redis.call('ZSCORE', people, id) and true or false
  if is ~= add and not seen[id] then
    seen[id] = true
    table.insert(changing, id)
  end
end
local have = redis.call('ZCARD', people)
if add and have + #changing > most then
  return {'full', '0', tostring(have)}
end
for _, id in ipairs(changing) do
  if add then
    redis.call('ZADD', people, redis.call('HINCRBY', record, 'seq', 1), id)
  else
    redis.call('ZREM', people, id)
  end
end
return {'done', tostring(#changing), tostring(redis.call('ZCARD', people))}
