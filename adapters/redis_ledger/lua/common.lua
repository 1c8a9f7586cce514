-- What every script begins with. KEYS[1] is the prefix of all keys; ARGV[1] is the time, or empty for the server's.
-- Times are milliseconds since the epoch. docs/explanation/ledger.md tells what the keys hold.

local call = redis.call
local OP, MAILBOX, STATE = KEYS[1] .. 'op:', KEYS[1] .. 'mailbox:', KEYS[1] .. 'state:'
local DUE, BACKLOG, LEASE = KEYS[1] .. 'due', KEYS[1] .. 'backlog', KEYS[1] .. 'lease'
local SEQUENCE, IDENTITY = KEYS[1] .. 'sequence', KEYS[1] .. 'identity'
local TALLY = KEYS[1] .. 'tally'
local WAITING = {queued = true, running = true, retrying = true}

local function now()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Every answer says whose it is, so that a ledger which was emptied is noticed.
local function answer(value)
  return {call('GET', IDENTITY), value}
end

-- One call for many members, as many as the Lua stack takes; the answers in one list, where they are lists.
local function each(command, key, members)
  local answers = {}
  for first = 1, #members, 1000 do
    local part = call(command, key, unpack(members, first, math.min(first + 999, #members)))
    if type(part) == 'table' then
      for n = 1, #part do answers[first + n - 1] = part[n] end
    end
  end
  return answers
end

local function read(id)
  return call('HMGET', OP .. id, 'operation', 'payload', 'state', 'attempts', 'error', 'settled_at', 'outcome',
    'unsure', 'resource', 'stamp')
end

-- A job as it is answered: what was read, with the time when it is due instead of its resource.
local function job_of(fields, due)
  fields[9] = due or false
  fields[10] = nil
  return fields
end

local function job(id)
  local fields = read(id)
  return fields[1] and job_of(fields, WAITING[fields[3]] and call('ZSCORE', DUE, fields[9]))
end
