#!lua
-- Records what the inspection of a document found, if its present verdict may be followed by another: by its kind, or as
-- it was found where documents are taken that open without a password, and this one was not.
-- KEYS 1 file record
-- ARGV 1 verdict, 2 pages, 3 error code, 4 error message, 5 notes as a JSON list, 6 '1' if found where
--      documents are taken that open without a password, else '', 7... verdicts that may be replaced
-- Returns {code}
--   set      the verdict is recorded
--   already  another, final verdict stays
--   no_file  there is no such file
local record = KEYS[1]
local verdict, pages, code, message, notes, open = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local have = redis.call('HMGET', record, 'verdict', 'open')
if not have[1] then
  return {'no_file'}
end
local replaced = have[2] == '1' and open == ''
for i = 7, #ARGV do
  replaced = replaced or have[1] == ARGV[i]
end
if not replaced then
  return {'already'}
end
redis.call('HSET', record, 'verdict', verdict, 'pages', pages, 'error_code', code, 'error_message', message, 'notes', notes, 'open', open)
return {'set'}
