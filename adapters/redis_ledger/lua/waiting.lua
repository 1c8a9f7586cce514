#!lua flags=no-writes
-- ARGV: time, then the resources. Answers operation and payload of each that waits.
local waiting = {}
for at = 2, #ARGV do
  local operations = {}
  for _, id in ipairs(call('LRANGE', MAILBOX .. ARGV[at], 0, -1)) do
    local fields = call('HMGET', OP .. id, 'operation', 'payload', 'state')
    if WAITING[fields[3]] then operations[#operations + 1] = {fields[1], fields[2]} end
  end
  waiting[#waiting + 1] = operations
end
return answer(waiting)
