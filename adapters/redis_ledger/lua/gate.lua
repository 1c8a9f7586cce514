#!lua flags=no-writes
-- ARGV: time, then for each operation its id (empty: do not look it up) and its resource.
local gates = {}
for at = 2, #ARGV, 2 do
  local held = ARGV[at] ~= '' and job(ARGV[at])
  local waiting = call('EXISTS', MAILBOX .. ARGV[at + 1])
  gates[#gates + 1] = held and {waiting, held} or waiting
end
return answer(gates)
