#!lua flags=no-writes
-- ARGV: time, most operations, bytes of payload after which no other operation is read, then the resources. Answers
-- operation and payload of each that waits, or, when the mailboxes hold more than that, how many they hold.
local held, room = 0, tonumber(ARGV[3])
for at = 4, #ARGV do held = held + call('LLEN', MAILBOX .. ARGV[at]) end
if held > tonumber(ARGV[2]) then return answer(held) end

local waiting = {}
for at = 4, #ARGV do
  local operations = {}
  for _, id in ipairs(call('LRANGE', MAILBOX .. ARGV[at], 0, -1)) do
    if room <= 0 then return answer(held) end
    local fields = call('HMGET', OP .. id, 'operation', 'payload', 'state')
    room = room - #(fields[2] or '')
    if WAITING[fields[3]] then operations[#operations + 1] = {fields[1], fields[2]} end
  end
  waiting[#waiting + 1] = operations
end
return answer(waiting)
