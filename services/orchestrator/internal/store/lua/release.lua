#!lua
-- Begins with lib/turns.lua.
-- Release ends a pause. Claims took a paused production out of the functions' indexes; it comes back where it has steps.
-- KEYS  1 paused  2 passes  3 functions that definitions name
-- ARGV  1 the pause, a member of paused  2 production, or '' if a function is paused for all  3 function, or '' for all
-- Returns 1.
local paused, passes, functions = unpack(KEYS)
local tag = string.match(paused, '^{[^}]*}')
local production, function_name = ARGV[2], ARGV[3]
redis.call('SREM', paused, ARGV[1])
for _, fn in ipairs(function_name ~= '' and {function_name} or redis.call('SMEMBERS', functions)) do
  if production == '' then
    redis.call('PUBLISH', tag .. ':wake', fn)
  elseif redis.call('EXISTS', tag .. ':q:' .. fn .. ':' .. production) == 1 then
    join_turns(tag, passes, fn, production)
    redis.call('PUBLISH', tag .. ':wake', fn)
  end
end
return 1
