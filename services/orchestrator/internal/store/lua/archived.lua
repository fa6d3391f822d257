#!lua
-- Archived deletes the events of a distribution that are in its archive, if it still is as it was archived: later events stay,
-- and the stream itself, so that ids go on growing whatever the clock does.
-- KEYS  1 distribution  2 its events
-- ARGV  1 production  2 the end that was archived, in ms  3 the last event that the archive has  4 the id after it
--       5 the archive's digest  6… final states
-- Returns {code, how many events came later}: 1 deleted, 2 done before, 3 it has not ended, 4 there is none in that
--         production, 5 it ended at another time, 6 another archive of the same events was told of.
local dist, events = unpack(KEYS)
local about = redis.call('HMGET', dist, 'production', 'state', 'ended', 'arc', 'arcsum')
if about[1] ~= ARGV[1] then
  return {4, 0}
end
local final = false
for i = 6, #ARGV do
  final = final or about[2] == ARGV[i]
end
if not final then
  return {3, 0}
end
if about[3] ~= ARGV[2] then
  return {5, 0}
end
-- An id is two numbers that a double holds.
local function parts(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
end
local code = 1
if about[4] then
  local ms, n = parts(ARGV[3])
  local had_ms, had_n = parts(about[4])
  if about[4] == ARGV[3] then
    if about[5] ~= ARGV[5] then
      return {6, 0}
    end
    code = 2
  elseif ms < had_ms or (ms == had_ms and n < had_n) then
    code = 2
  end
end
if code == 1 then
  redis.call('HSET', dist, 'arc', ARGV[3], 'arcsum', ARGV[5])
  redis.call('XTRIM', events, 'MINID', ARGV[4])
end
return {code, redis.call('XLEN', events)}
