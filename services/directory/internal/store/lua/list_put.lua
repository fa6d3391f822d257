#!lua
-- Makes a list, or sets name and policy of the one there is.
-- KEYS 1 production record, 2 list record, 3 index of lists, in the order of names
-- ARGV 1 'create', or 'update' of what there is, 2 id, 3 the revision that there must be to update, '0' for any, 4 name,
--      5 policy, 6 word for the index, which has the id after a zero byte there, 7 how many lists there may be
-- Returns {code}
--   put            it is so now
--   already        it was so, whatever its revision
--   exists         there is one with this id already that says something else; not of an update
--   changed        it has another revision
--   taken          another list has the name
--   full           there are as many as there may be
--   absent         there is none to update
--   no_production  there is no such production
local production, record, lists = KEYS[1], KEYS[2], KEYS[3]
local create, id, revision, name, policy, word, most = ARGV[1] == 'create', ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

if redis.call('EXISTS', production) == 0 then
  return {'no_production'}
end
local have = redis.call('HMGET', record, 'name', 'policy', 'revision', 'word')
if have[1] and have[1] == name and have[2] == policy then
  return {'already'}
end
if create and have[1] then
  return {'exists'}
end
if not create then
  if not have[1] then
    return {'absent'}
  end
  if revision ~= '0' and revision ~= have[3] then
    return {'changed'}
  end
end
for _, member in ipairs(redis.call('ZRANGEBYLEX', lists, '[' .. word .. '\0', '(' .. word .. '\1')) do
  if member ~= word .. '\0' .. id then
    return {'taken'}
  end
end
if create and redis.call('ZCARD', lists) >= most then
  return {'full'}
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if create then
  redis.call('HSET', record, 'created', now, 'seq', 0)
else
  redis.call('ZREM', lists, have[4] .. '\0' .. id)
end
redis.call('ZADD', lists, 0, word .. '\0' .. id)
redis.call('HSET', record, 'name', name, 'policy', policy, 'word', word, 'updated', now)
redis.call('HINCRBY', record, 'revision', 1)
return {'put'}
