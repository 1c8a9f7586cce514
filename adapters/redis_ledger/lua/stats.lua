#!lua flags=no-writes
-- ARGV: time. Answers the numbers of waiting, dead and mailboxes, the operation that was held first, and the tally.
local waiting, oldest, oldest_stamp = 0, false, math.huge
for state in pairs(WAITING) do
  waiting = waiting + call('ZCARD', STATE .. state)
  local first = call('ZRANGE', STATE .. state, 0, 0, 'WITHSCORES')
  if first[1] and tonumber(first[2]) < oldest_stamp then oldest, oldest_stamp = first[1], tonumber(first[2]) end
end
local operation = oldest and call('HGET', OP .. oldest, 'operation')
return answer({waiting, call('ZCARD', STATE .. 'dead'), call('ZCARD', BACKLOG), operation, call('HGETALL', TALLY)})
