#!lua flags=allow-oom
-- ARGV: time, milliseconds that a settled job is kept, most jobs. What expired by itself leaves its place in the list.
local horizon, left = now() - ARGV[2], tonumber(ARGV[3])

local function prune(state)
  for _, id in ipairs(call('ZRANGE', STATE .. state, 0, left - 1)) do
    local settled_at = call('HGET', OP .. id, 'settled_at')
    if settled_at and tonumber(settled_at) > horizon then return end
    call('DEL', OP .. id)
    call('ZREM', STATE .. state, id)
    left = left - 1
  end
end

for _, state in ipairs({'succeeded', 'failed', 'cancelled'}) do
  if left > 0 then prune(state) end
end
return answer(ARGV[3] - left)
