#!lua
-- Moves a schedule on from a run, if it still stands there, and notes what became of the run.
-- KEYS  1 record  2 clock
-- ARGV  1 member of the clock  2 the run in ms, as it was handed out  3 the next run from now on, or '' for none
--       4 when to look at it next, in ms  5 how many runs were left out  6 '1' if the run is over, however it went
--       7 distribution that it started, or ''  8 code of what went wrong, or ''  9 its sentence  10 '1' if trying again
--       can help, or ''
-- Returns 1 moved, 0 the schedule does not stand there any more: it was changed or deleted, or somebody else moved it.
local record, clock = unpack(KEYS)
local member, run, next, look, skipped, over = unpack(ARGV)
local dist, code, message, again = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local at = redis.call('HMGET', record, 'timing', 'next', 'last')
if not at[1] then
  return 0
end
local latest = not at[3] or tonumber(at[3]) <= tonumber(run)
if over == '1' and latest then
  redis.call('HSET', record, 'last', run)
  redis.call('HDEL', record, 'code', 'msg', 'again')
  if dist ~= '' then
    redis.call('HSET', record, 'dist', dist)
  end
end
if code ~= '' and latest then
  redis.call('HSET', record, 'code', code, 'msg', message, 'again', again)
end
if at[2] ~= run then
  return 0
end
redis.call('HINCRBY', record, 'skipped', skipped)
if next == '' then
  redis.call('HDEL', record, 'next')
  redis.call('ZREM', clock, member)
else
  redis.call('HSET', record, 'next', next)
  redis.call('ZADD', clock, look, member)
end
return 1
