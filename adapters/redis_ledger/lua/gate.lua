#!lua flags=no-writes
-- ARGV: time, then for each operation its id (empty: do not look it up) and its resource.
-- Most of the time nothing is held: a few calls tell.
local ids, mailboxes = {}, {}
for at = 2, #ARGV, 2 do
  if ARGV[at] ~= '' then ids[#ids + 1] = OP .. ARGV[at] end
  mailboxes[#mailboxes + 1] = MAILBOX .. ARGV[at + 1]
end

local function any(keys)
  for first = 1, #keys, 1000 do
    if call('EXISTS', unpack(keys, first, math.min(first + 999, #keys))) > 0 then return true end
  end
  return false
end

local any_held, any_waiting, gates = any(ids), any(mailboxes), {}
for at = 2, #ARGV, 2 do
  local held = any_held and ARGV[at] ~= '' and job(ARGV[at])
  local waiting = any_waiting and call('EXISTS', MAILBOX .. ARGV[at + 1]) or 0
  gates[#gates + 1] = held and {waiting, held} or waiting
end
return answer(gates)
