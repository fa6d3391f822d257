#!lua
-- Audit appends lines to the audit, if it still ends as it was read. What was appended under the same name is not again.
-- KEYS  1 head  2 lines  3 batches
-- ARGV  1 number of the last line, 0 for none  2 its hash  3 number after  4 hash after  5 name of the batch  6 for how long it is
--       known, in ms  7… lines
-- Returns {1, ''} appended; {2, ''} it was before; {0, ''} it does not end so any more, and nothing was appended.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZSCORE', KEYS[3], ARGV[5]) then
  return {2, ''}
end
local head = redis.call('HMGET', KEYS[1], 'n', 'h')
if (head[1] or '0') ~= ARGV[1] or (head[2] or '') ~= ARGV[2] then
  return {0, ''}
end
for i = 7, #ARGV do
  redis.call('XADD', KEYS[2], string.format('%.0f-0', tonumber(ARGV[1]) + i - 6), 'l', ARGV[i])
end
redis.call('HSET', KEYS[1], 'n', ARGV[3], 'h', ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[6])
redis.call('ZADD', KEYS[3], now, ARGV[5])
return {1, ''}
