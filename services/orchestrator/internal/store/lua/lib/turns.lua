-- A production has steps ready for a function: it comes in where the others stand. It has not saved up turns, nor has it any to
-- pay but those it took last, which passes keep.
local function join_turns(tag, passes, fn, production)
  local index = tag .. ':f:' .. fn
  if not redis.call('ZSCORE', index, production) then
    local first = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
    local had = redis.call('HGET', passes, fn .. ' ' .. production)
    redis.call('ZADD', index, math.max(tonumber(first[2]) or 0, tonumber(had) or 0), production)
  end
end
