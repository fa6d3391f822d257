#!lua
-- Hands out schedules that have a run due, and keeps them from others for a while. Their holder may die: then they are
-- handed out again, and the record says since when somebody has set about this run.
-- KEYS  1 clock
-- ARGV  1 now in ms, or '' for Redis's  2 how long they are kept from others, in ms  3 how many at most
-- Returns {now in ms, list of {member, next run in ms, when somebody set about it first in ms or '', cron, zone, '1' to
-- catch up or '', who made it, what it starts}}.
local clock = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local tag = string.match(clock, '^{[^}]*}')
local out = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', clock, '-inf', now, 'LIMIT', 0, ARGV[3])) do
  local production, name = string.match(member, '^([^/]+)/([^/]+)$')
  local record = tag .. ':sched:' .. production .. ':' .. name
  local at = redis.call('HMGET', record, 'next', 'try', 'tried', 'cron', 'zone', 'catch', 'by', 'start')
  if not at[1] then
    redis.call('ZREM', clock, member)
  elseif tonumber(at[1]) > now then
    redis.call('ZADD', clock, at[1], member)
  else
    redis.call('ZADD', clock, now + ARGV[2], member)
    local tried = ''
    if at[2] == at[1] then
      tried = at[3]
    else
      redis.call('HSET', record, 'try', at[1], 'tried', string.format('%.0f', now))
    end
    out[#out + 1] = {member, at[1], tried, at[4], at[5], at[6], at[7], at[8]}
  end
end
return {now, out}
