-- For the scripts that change a mailbox.

local function move(id, from, to, stamp)
  call('ZREM', STATE .. from, id)
  call('ZADD', STATE .. to, stamp, id)
end

-- From one waiting state to another: its place in the list of jobs stays.
local function wait_as(state, id, from)
  if from == state then return end
  local key = OP .. id
  call('HSET', key, 'state', state)
  move(id, from, state, call('HGET', key, 'stamp'))
end

-- A mailbox that was not empty is due when it was due before: who comes later does not hasten the head.
local function append(resource, id, time)
  if call('RPUSH', MAILBOX .. resource, id) > 1 then return end
  call('ZADD', BACKLOG, call('INCR', SEQUENCE), resource)
  call('ZADD', DUE, time, resource)
end

-- A mailbox that is empty is not there, and one whose head is dead is never due. True where neither is so.
local function tidy(resource)
  local head = call('LINDEX', MAILBOX .. resource, 0)
  if not head then
    call('HDEL', LEASE, resource)
    call('ZREM', DUE, resource)
    call('ZREM', BACKLOG, resource)
    return false
  end
  if call('HGET', OP .. head, 'state') == 'dead' then
    call('ZADD', DUE, '+inf', resource)
    return false
  end
  return true
end
