#!lua flags=allow-oom
-- ARGV: time, milliseconds that a settled job is kept, most jobs. The stamp of a settled job is when it was settled.
local horizon, left = string.format('(%.0f', (now() - ARGV[2] + 1) * 1000), tonumber(ARGV[3])

-- A job that expired by itself leaves its place in the list, and may have been held anew since.
local function prune(state)
  local ids = call('ZRANGE', STATE .. state, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, left)
  for _, id in ipairs(ids) do
    if call('HGET', OP .. id, 'state') == state then call('DEL', OP .. id) end
  end
  each('ZREM', STATE .. state, ids)
  left = left - #ids
end

for _, state in ipairs({'succeeded', 'failed', 'cancelled'}) do
  if left > 0 then prune(state) end
end
return answer(ARGV[3] - left)
