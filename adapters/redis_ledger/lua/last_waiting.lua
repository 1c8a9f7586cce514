#!lua flags=no-writes
-- ARGV: time, then the resources. A dead one does not wait, but may be anywhere in the mailbox that it blocks.
local function last(resource)
  for at = -1, -call('LLEN', MAILBOX .. resource), -1 do
    local id = call('LINDEX', MAILBOX .. resource, at)
    if WAITING[call('HGET', OP .. id, 'state')] then return id end
  end
  return false
end

local ids = {}
for at = 2, #ARGV do ids[#ids + 1] = last(ARGV[at]) end
return answer(ids)
