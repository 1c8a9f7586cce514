#!lua flags=allow-oom
-- ARGV: time, id.
local id, key = ARGV[2], OP .. ARGV[2]
local fields = call('HMGET', key, 'state', 'resource', 'blocks')
local state, resource, blocks = fields[1], fields[2], fields[3]

local function retry()
  local time = now()
  local place = stamp(time)
  call('HSET', key, 'state', 'retrying', 'stamp', place)
  call('HDEL', key, 'attempts', 'settled_at', 'blocks')
  move(id, 'dead', 'retrying', place)
  count('revived')
  if not blocks then
    append(resource, id, time)
  elseif call('LINDEX', MAILBOX .. resource, 0) == id then
    due[resource] = time
  end
  write_changes()
end

if state == 'dead' then retry() end
return answer(job(id))
