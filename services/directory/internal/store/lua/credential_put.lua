#!lua
-- Keeps a sealed secret under a name, in place of the one there was, and says so in the audit.
-- KEYS 1 production record, 2 credential record, 3 index of names, 4 audit stream
-- ARGV 1 '1' if the production must exist, '' for the studio, 2 name, 3 sealed secret, 4 who, 5 call id, 6 how many names
--      there may be, 7 how many lines of the audit are kept, about
-- Returns {code, time in ms}
--   put            it is there since that time
--   too_many       there are as many as there may be, and this would be one more; without a time
--   no_production  there is no such production; without a time
local production, record, index, audit = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local owned, name, sealed, who, call, most, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]

if owned == '1' and redis.call('EXISTS', production) == 0 then
  return {'no_production'}
end
if redis.call('EXISTS', record) == 0 and redis.call('ZCARD', index) >= most then
  return {'too_many'}
end
local time = redis.call('TIME')
local changed = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', record, 'sealed', sealed, 'changed', changed, 'by', who)
redis.call('ZADD', index, 0, name)
redis.call('XADD', audit, 'MAXLEN', '~', keep, '*', 'call', call, 'who', who, 'what', 'put_credential', 'about', name)
return {'put', changed}
