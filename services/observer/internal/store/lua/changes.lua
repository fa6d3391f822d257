#!lua
-- Keeps what is known of how things are set and who is there, and what changed since, if it is still known as it was read.
-- KEYS  1 what is known  2 changes
-- ARGV  1 what was known, '' for nothing  2 what is known now  3… the changes
-- Returns {1, ''} kept; {0, ''} somebody else was quicker, and nothing was kept.
local known, changes = unpack(KEYS)
if (redis.call('GET', known) or '') ~= ARGV[1] then
  return {0, ''}
end
redis.call('SET', known, ARGV[2])
for i = 3, #ARGV do
  redis.call('XADD', changes, 'MAXLEN', '~', 1000, '*', 'c', ARGV[i])
end
return {1, ''}
