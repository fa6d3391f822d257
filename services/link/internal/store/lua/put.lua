#!lua
-- Writes a link's record, or brings it up to date: the same request changes nothing, a different one for the same person
-- replaces what the link shows and when it expires.
-- KEYS 1 record, 2 content
-- ARGV 1 id, 2 production, 3 distribution, 4 mode, 5 generation, 6 number of the key, 7 person, 8 digest of the request,
--      9 number of documents, 10 lifetime in milliseconds, 11 milliseconds to keep it after its end, 12 content
-- Returns {code, expires}
--   put      it was written by this call
--   exists   the same request wrote it before
--   other    it is another person's, or of another kind; nothing was changed
--   revoked  it was revoked; nothing was changed
local record, content = KEYS[1], KEYS[2]
local person, mode, digest = ARGV[7], ARGV[4], ARGV[8]
local lifetime, keep = tonumber(ARGV[10]), tonumber(ARGV[11])

local have = redis.call('HMGET', record, 'revoked', 'id', 'person', 'mode', 'digest', 'expires')
if have[1] then
  return {'revoked', have[6] or '0'}
end
if have[2] and (have[2] ~= ARGV[1] or have[3] ~= person or have[4] ~= mode) then
  return {'other', have[6]}
end
if have[2] and have[5] == digest then
  return {'exists', have[6]}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = string.format('%.0f', now + lifetime)
redis.call('HSET', record, 'id', ARGV[1], 'production', ARGV[2], 'distribution', ARGV[3], 'mode', mode, 'generation', ARGV[5],
  'key', ARGV[6], 'person', person, 'digest', digest, 'documents', ARGV[9], 'expires', expires)
redis.call('HSETNX', record, 'created', string.format('%.0f', now))
redis.call('SET', content, ARGV[12])
local gone = string.format('%.0f', now + lifetime + keep)
redis.call('PEXPIREAT', record, gone)
redis.call('PEXPIREAT', content, gone)
return {'put', expires}
