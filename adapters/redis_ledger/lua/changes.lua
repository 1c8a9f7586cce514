-- For the scripts that change mailboxes. What happens to the indexes is gathered and written at the end, a few calls
-- for all of it; the last word on each operation or resource counts.

local moved, due, leased, entered = {}, {}, {}, {}
local last_stamp

-- What is counted for ever (holdfast/operations/tally.py), under the same names.
local tally = {}
local function count(name, by)
  tally[name] = (tally[name] or 0) + (by or 1)
end

-- Stamps are microseconds, later than every one before: what is ordered by them is ordered by time.
local function stamp(time)
  last_stamp = math.max((last_stamp or tonumber(call('GET', SEQUENCE) or 0)) + 1, time * 1000)
  return last_stamp
end

local function move(id, from, to, stamp_)
  local move_ = moved[id] or {from = from}
  move_.to, move_.stamp = to, stamp_
  moved[id] = move_
end

-- Its place in the list of jobs stays.
local function wait_as(state, id, from, stamp_)
  if from == state then return end
  call('HSET', OP .. id, 'state', state)
  move(id, from, state, stamp_ or call('HGET', OP .. id, 'stamp'))
end

-- A mailbox that was not empty is due when it was due before: who comes later does not hasten the head.
local function append(resource, id, time)
  if call('RPUSH', MAILBOX .. resource, id) > 1 then return end
  entered[resource], due[resource] = stamp(time), time
end

-- A mailbox that is empty is not there, and one whose head is dead is never due. True where neither is so.
local function tidy(resource, head)
  if not head then
    leased[resource], due[resource], entered[resource] = false, false, false
    return false
  end
  if call('HGET', OP .. head, 'state') == 'dead' then
    due[resource] = '+inf'
    return false
  end
  return true
end

local function due_of(resource)
  return due[resource] or call('ZSCORE', DUE, resource)
end

-- A job as it is once the changes are written.
local function changed_job(id)
  local fields = read(id)
  return fields[1] and job_of(fields, WAITING[fields[3]] and due_of(fields[9]))
end

local function write_index(key, scores)
  local add, remove = {}, {}
  for member, score in pairs(scores) do
    if score then
      add[#add + 1] = score
      add[#add + 1] = member
    else
      remove[#remove + 1] = member
    end
  end
  each('ZREM', key, remove)
  each('ZADD', key, add)
end

local function write_states()
  local scores = {dead = {}, succeeded = {}, failed = {}, cancelled = {}}
  for state in pairs(WAITING) do scores[state] = {} end
  for id, move_ in pairs(moved) do
    if move_.from then scores[move_.from][id] = false end
    scores[move_.to][id] = move_.stamp
  end
  for state, members in pairs(scores) do write_index(STATE .. state, members) end
end

local function write_leases()
  local set, delete = {}, {}
  for resource, lease in pairs(leased) do
    if lease then
      set[#set + 1] = resource
      set[#set + 1] = lease
    else
      delete[#delete + 1] = resource
    end
  end
  each('HDEL', LEASE, delete)
  each('HSET', LEASE, set)
end

local function write_changes()
  write_states()
  write_leases()
  write_index(DUE, due)
  write_index(BACKLOG, entered)
  for name, by in pairs(tally) do call('HINCRBY', TALLY, name, by) end
  if last_stamp then call('SET', SEQUENCE, string.format('%.0f', last_stamp)) end
end
