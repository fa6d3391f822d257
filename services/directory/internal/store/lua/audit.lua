#!lua
-- Appends one line to a production's audit, once for each call id among the latest lines.
-- KEYS 1 production record, 2 audit stream
-- ARGV 1 call id, 2 who, 3 what, 4 about whom, 5 how many lines are kept, about, 6 how many of the latest to compare
-- Returns {code}
--   recorded       the line is there, by this call or by one before it with the same id
--   no_production  there is no such production
local production, audit = KEYS[1], KEYS[2]
local call, who, what, about, keep, latest = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

if redis.call('EXISTS', production) == 0 then
  return {'no_production'}
end
for _, line in ipairs(redis.call('XREVRANGE', audit, '+', '-', 'COUNT', latest)) do
  if line[2][2] == call then
    return {'recorded'}
  end
end
redis.call('XADD', audit, 'MAXLEN', '~', keep, '*', 'call', call, 'who', who, 'what', what, 'about', about)
return {'recorded'}
