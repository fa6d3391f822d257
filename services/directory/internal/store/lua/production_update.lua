#!lua
-- Changes whether a production takes documents that open without a password, and says so in its audit. What is so
-- already is not said again.
-- KEYS 1 production record, 2 audit stream
-- ARGV 1 '1' if it takes them, else '', 2 call id, 3 who, 4 how many lines of the audit are kept, about
-- Returns {code}
--   updated        it is so now
--   already        it was so
--   no_production  there is no such production
local production, audit = KEYS[1], KEYS[2]
local open, call, who, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('EXISTS', production) == 0 then
  return {'no_production'}
end
if (redis.call('HGET', production, 'open_restricted') or '') == open then
  return {'already'}
end
redis.call('HSET', production, 'open_restricted', open)
redis.call('XADD', audit, 'MAXLEN', '~', keep, '*', 'call', call, 'who', who, 'what', 'open_restricted', 'about', open == '1' and 'on' or 'off')
return {'updated'}
