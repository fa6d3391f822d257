#!lua
-- Advance moves a batch's cursor together with its counters, or records what it is about to do.
-- KEYS  1 batch  2 batches under way
-- ARGV  1 batch id  2 cursor as the caller read it  3 what it was about to do as the caller read it
--       4 cursor from now on  5 what it is about to do from now on, or ''  6 '1' when it is done  7 how long it is kept, in s
--       8 how long it is kept from others from now on, in ms
--       9 code of a failure, or ''  10 its sentence  11… counters and what is added to them
-- Returns 1 done, 2 done, and it is paused: what is begun is counted, nothing is begun; 0 when the cursor was not as
--         expected: somebody else goes on.
local batch, running = unpack(KEYS)
local about = redis.call('HMGET', batch, 'state', 'cursor', 'doing')
if about[1] ~= 'running' and about[1] ~= 'paused' or about[2] ~= ARGV[2] or (about[3] or '') ~= ARGV[3] then
  return 0
end
if about[1] == 'paused' and ARGV[5] ~= '' then
  return 2
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', batch, 'cursor', ARGV[4], 'doing', ARGV[5])
for i = 11, #ARGV, 2 do
  redis.call('HINCRBY', batch, ARGV[i], ARGV[i + 1])
end
if ARGV[9] ~= '' then
  redis.call('HSET', batch, 'code', ARGV[9], 'msg', ARGV[10])
end
if ARGV[6] == '1' then
  redis.call('HSET', batch, 'state', 'done', 'ended', now)
  redis.call('ZREM', running, ARGV[1])
else
  redis.call('ZADD', running, 'XX', now + ARGV[8], ARGV[1])
end
redis.call('EXPIRE', batch, ARGV[7])
return about[1] == 'paused' and 2 or 1
