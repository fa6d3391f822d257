#!lua
-- Opens a session at an active link, which counts as a view. Of a link's sessions the oldest give way to new ones.
-- KEYS 1 record, 2 session, 3 the link's sessions, 4 access log
-- ARGV 1 the link's hash, 2 the session's id, 3 SHA-256 of its secret, 4 its length in milliseconds, 5 sessions at once,
--      6 entries of the log
-- Returns {code, expires}
--   opened   it is open, until expires
--   expired  the link has expired
--   revoked  the link was revoked
--   unknown  there is no such link
local record, session, sessions, access = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local hash, id, secret, length, most, entries = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]

local have = redis.call('HMGET', record, 'revoked', 'id', 'expires')
if have[1] then
  return {'revoked', '0'}
end
if not have[2] then
  return {'unknown', '0'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(have[3]) <= now then
  return {'expired', '0'}
end
local ends = string.format('%.0f', math.min(now + length, tonumber(have[3])))
redis.call('HSET', session, 'link', hash, 'secret', secret, 'expires', ends)
redis.call('PEXPIREAT', session, ends)

redis.call('ZREMRANGEBYSCORE', sessions, '-inf', string.format('%.0f', now))
local over = redis.call('ZCARD', sessions) + 1 - most
if over > 0 then
  local prefix = string.sub(session, 1, #session - #id) -- sessions of one link share its tag
  for _, oldest in ipairs(redis.call('ZRANGE', sessions, 0, math.min(over, 100) - 1)) do
    redis.call('DEL', prefix .. oldest)
    redis.call('ZREM', sessions, oldest)
  end
end
redis.call('ZADD', sessions, ends, id)
redis.call('PEXPIREAT', sessions, ends)

redis.call('HSETNX', record, 'first_viewed', string.format('%.0f', now))
redis.call('HINCRBY', record, 'views', 1)
redis.call('XADD', access, 'MAXLEN', entries, '*', 'kind', 'view', 'verdict', 'human')
redis.call('PEXPIRE', access, redis.call('PTTL', record))
return {'opened', ends}
