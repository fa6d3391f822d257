#!lua
-- Counts what happened at an active link: a download, or an open by something that pressed no button.
-- KEYS 1 record, 2 access log
-- ARGV 1 kind (download, open), 2 verdict (human, machine, unknown), 3 entries of the log, 4 entries of opens
-- Returns {code}
--   counted  it was
--   passed   the link is not active; nothing was changed
local record, access = KEYS[1], KEYS[2]
local kind, verdict, entries, opens = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local have = redis.call('HMGET', record, 'revoked', 'id', 'expires')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if have[1] or not have[2] or tonumber(have[3]) <= now then
  return {'passed'}
end
if kind == 'download' then
  redis.call('HSETNX', record, 'first_downloaded', string.format('%.0f', now))
  redis.call('HINCRBY', record, 'downloads', 1)
elseif redis.call('HINCRBY', record, 'opens_' .. verdict, 1) > opens then
  return {'counted'} -- so that no scanner pushes people's entries out of the log
end
redis.call('XADD', access, 'MAXLEN', entries, '*', 'kind', kind, 'verdict', verdict)
redis.call('PEXPIRE', access, redis.call('PTTL', record))
return {'counted'}
