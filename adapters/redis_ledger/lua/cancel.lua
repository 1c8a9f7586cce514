#!lua flags=allow-oom
-- ARGV: time, seconds that a settled job is kept, id.
local id, key = ARGV[3], OP .. ARGV[3]
local fields = call('HMGET', key, 'state', 'resource', 'unsure')
local state, resource = fields[1], fields[2]
if (state == 'queued' or state == 'retrying') and not fields[3] then
  local time = now()
  local head = call('LINDEX', MAILBOX .. resource, 0) == id
  call('LREM', MAILBOX .. resource, 1, id)
  call('HSET', key, 'state', 'cancelled', 'settled_at', time)
  call('HDEL', key, 'payload')
  call('EXPIRE', key, ARGV[2])
  move(id, state, 'cancelled', call('INCR', SEQUENCE))
  if tidy(resource) and head then call('ZADD', DUE, time, resource) end
end
return answer(job(id))
