#!lua
-- Records what the inspection of a document found, if its present verdict may be followed by another.
-- KEYS 1 file record
-- ARGV 1 verdict, 2 pages, 3 error code, 4 error message, 5 notes as a JSON list, 6... verdicts that may be replaced
-- Returns {code}
--   set      the verdict is recorded
--   already  another, final verdict stays
--   no_file  there is no such file
local record = KEYS[1]
local verdict, pages, code, message, notes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local have = redis.call('HGET', record, 'verdict')
if not have then
  return {'no_file'}
end
for i = 6, #ARGV do
  if have == ARGV[i] then
    redis.call('HSET', record, 'verdict', verdict, 'pages', pages, 'error_code', code, 'error_message', message, 'notes', notes)
    return {'set'}
  end
end
return {'already'}
