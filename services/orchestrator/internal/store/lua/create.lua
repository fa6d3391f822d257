#!lua
-- Create makes a distribution visible, with its recipients or with those that were staged before, or finds the one that the
-- same key made. What would go beyond the production's quota is refused before anything is written.
-- KEYS  1 distribution  2 its events  3 spec  4 staged recipients  5 idempotency key  6 the production's list
--       7 chores  8 open  9 changed  10 what its parent started, or the list again
--       11 functions that definitions name  12 the production's quota  13 items of the production that have not ended
-- ARGV  1 distribution id  2 hash of the request  3 how long the idempotency key is kept, in s  4 spec
--       5 deadline: ms after now, or '=' and ms since 1970  6 layout chore  7 undo window in ms
--       8 recipients: {number: recipient}, or '' when they were staged  9 functions that it calls, with spaces between
--       10 'hidden' if the list is not to have it, or '-'  11 items  12 how many may be open where the quota says nothing, 0 is
--       any number; or '-': nothing is refused  13 how many distributions a minute may see, likewise
--       14… fields of the distribution and their values
-- Returns {1, id} created, {2, id} the same request made this one before, {3, id} another request used the key,
--         {4, 'open most'} it would be more items than may be open, {5, 'ms most'} a minute has seen as many as it may; ms until
--         there is room.
local dist, events, spec, staged, idem, list, chores, open, changed, siblings, functions, quota, used = unpack(KEYS)
local id, hash = ARGV[1], ARGV[2]
local was = redis.call('HMGET', idem, 'd', 'h')
if was[1] then
  return {was[2] == hash and 2 or 3, was[1]}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[12] ~= '-' then
  local own = redis.call('HMGET', quota, 'items', 'minute')
  local most, minute = tonumber(own[1] or ARGV[12]), tonumber(own[2] or ARGV[13])
  local have = tonumber(redis.call('GET', used)) or 0
  if most > 0 and have + ARGV[11] > most then
    return {4, have .. ' ' .. most}
  end
  if minute > 0 and redis.call('ZCOUNT', list, '(' .. now - 60000, '+inf') >= minute then
    local first = redis.call('ZREVRANGE', list, minute - 1, minute - 1, 'WITHSCORES')
    return {5, first[2] + 60000 - now .. ' ' .. minute}
  end
end
redis.call('HSET', idem, 'd', id, 'h', hash)
redis.call('EXPIRE', idem, ARGV[3])
local deadline = string.match(ARGV[5], '^=(%d+)$') or now + ARGV[5]
redis.call('HSET', dist, 'created', now, 'deadline', deadline, 'c:' .. ARGV[6], '0', unpack(ARGV, 14))
if tonumber(ARGV[7]) > 0 then
  redis.call('HSET', dist, 'hold', now + ARGV[7])
end
redis.call('SET', spec, ARGV[4])
if ARGV[8] == '' then
  redis.call('PERSIST', staged)
else
  for number, recipient in pairs(cjson.decode(ARGV[8])) do
    redis.call('HSET', staged, number, recipient)
  end
end
for fn in string.gmatch(ARGV[9], '%S+') do
  redis.call('SADD', functions, fn)
end
if ARGV[10] ~= 'hidden' then
  redis.call('ZADD', list, now, id)
  redis.call('HSET', dist, 'counted', '1')
  redis.call('INCRBY', used, ARGV[11])
end
redis.call('ZADD', open, now, id)
if siblings ~= list then
  redis.call('SADD', siblings, id)
end
redis.call('ZADD', chores, now, ARGV[6])
redis.call('XADD', events, '*', 'k', 'accepted')
redis.call('XADD', changed, 'MAXLEN', '~', 10000, '*', 'd', id, 'p', redis.call('HGET', dist, 'production'))
return {1, id}
