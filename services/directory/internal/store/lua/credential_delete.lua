#!lua
-- Removes a credential, and says so in the audit.
-- KEYS 1 credential record, 2 index of names, 3 audit stream
-- ARGV 1 name, 2 who, 3 call id, 4 how many lines of the audit are kept, about
-- Returns {code}
--   deleted  it was there
--   absent   it was not, and nothing was said
local record, index, audit = KEYS[1], KEYS[2], KEYS[3]
local name, who, call, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

redis.call('ZREM', index, name)
if redis.call('DEL', record) == 0 then
  return {'absent'}
end
redis.call('XADD', audit, 'MAXLEN', '~', keep, '*', 'call', call, 'who', who, 'what', 'delete_credential', 'about', name)
return {'deleted'}
