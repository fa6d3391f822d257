#!lua
-- Ties a link's id to its token's hash, once. The first caller's key number and hash stay, so that a retry after the key
-- ring moved on makes the same token.
-- KEYS 1 index entry of the link id
-- ARGV 1 hash, 2 number of the key, 3 generation, 4 distribution, 5 milliseconds to keep the entry for
-- Returns {code, hash, key, generation}, the last three as they stand
--   claimed  this call tied it
--   exists   it was tied before
--   other    it is tied, to a link of another distribution
--   revoked  the link was revoked, before or after it was made
local index = KEYS[1]
local hash, key, generation, distribution, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local have = redis.call('HMGET', index, 'hash', 'key', 'generation', 'distribution', 'revoked')
if have[5] then
  return {'revoked', have[1] or '', have[2] or '', have[3] or ''}
end
if have[1] and have[4] ~= distribution then
  return {'other', have[1], have[2], have[3]}
end
local code = 'exists'
if not have[1] then
  redis.call('HSET', index, 'hash', hash, 'key', key, 'generation', generation, 'distribution', distribution)
  have = {hash, key, generation}
  code = 'claimed'
end
if redis.call('PTTL', index) < keep then
  redis.call('PEXPIRE', index, keep)
end
return {code, have[1], have[2], have[3]}
