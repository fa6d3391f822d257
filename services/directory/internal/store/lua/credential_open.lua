#!lua
-- Gives a sealed secret out, once the audit says to whom.
-- KEYS 1 credential record, 2 audit stream
-- ARGV 1 name, 2 who, 3 call id, 4 how many lines of the audit are kept, about, 5 how many of the latest to compare
-- Returns {code, sealed secret}
--   open    the audit has a line of this call id, by this call or by one before
--   absent  there is no such credential; without a secret
local record, audit = KEYS[1], KEYS[2]
local name, who, call, keep, latest = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local sealed = redis.call('HGET', record, 'sealed')
if not sealed then
  return {'absent'}
end
for _, line in ipairs(redis.call('XREVRANGE', audit, '+', '-', 'COUNT', latest)) do
  if line[2][2] == call then
    return {'open', sealed}
  end
end
redis.call('XADD', audit, 'MAXLEN', '~', keep, '*', 'call', call, 'who', who, 'what', 'open_credential', 'about', name)
return {'open', sealed}
