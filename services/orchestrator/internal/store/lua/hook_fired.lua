#!lua
-- Notes what a webhook started last, unless it was deleted meanwhile.
-- KEYS  1 record
-- ARGV  1 distribution  2 now in ms, or '' for Redis's
-- Returns 1 noted, 0 there is no such webhook.
local record = KEYS[1]
if redis.call('EXISTS', record) == 0 then
  return 0
end
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('HSET', record, 'dist', ARGV[1], 'last', string.format('%.0f', now))
return 1
