#!lua flags=allow-oom
-- ARGV: time, id.
local id, key = ARGV[2], OP .. ARGV[2]
local fields = call('HMGET', key, 'state', 'resource', 'blocks')
local state, resource, blocks = fields[1], fields[2], fields[3]
if state == 'dead' then
  local time, stamp = now(), call('INCR', SEQUENCE)
  call('HSET', key, 'state', 'retrying', 'stamp', stamp)
  call('HDEL', key, 'attempts', 'settled_at', 'blocks')
  move(id, 'dead', 'retrying', stamp)
  if not blocks then
    append(resource, id, time)
  elseif call('LINDEX', MAILBOX .. resource, 0) == id then
    call('ZADD', DUE, time, resource)
  end
end
return answer(job(id))
