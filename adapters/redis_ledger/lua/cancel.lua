#!lua flags=allow-oom
-- ARGV: time, seconds that a settled job is kept, id, '1' where the store will never apply it.
local id, key = ARGV[3], OP .. ARGV[3]
local fields = call('HMGET', key, 'state', 'resource', 'unsure')
local state, mailbox = fields[1], MAILBOX .. (fields[2] or '')

local function cancel(resource)
  local time, was_head = now(), call('LINDEX', mailbox, 0) == id
  call('LREM', mailbox, 1, id)
  call('HSET', key, 'state', 'cancelled', 'settled_at', time, 'payload', '')
  call('EXPIRE', key, ARGV[2])
  move(id, state, 'cancelled', stamp(time))
  count('cancelled')
  if tidy(resource, call('LINDEX', mailbox, 0)) and was_head then due[resource] = time end
  write_changes()
end

if (state == 'queued' or state == 'retrying') and (not fields[3] or ARGV[4] == '1') then cancel(fields[2]) end
return answer(job(id))
