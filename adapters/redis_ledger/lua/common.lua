-- What every script begins with. KEYS[1] is the prefix of all keys; ARGV[1] is the time, or empty for the server's.
-- Times are milliseconds since the epoch. docs/explanation/ledger.md tells what the keys hold.

local call = redis.call
local OP, MAILBOX, STATE = KEYS[1] .. 'op:', KEYS[1] .. 'mailbox:', KEYS[1] .. 'state:'
local DUE, BACKLOG, LEASE = KEYS[1] .. 'due', KEYS[1] .. 'backlog', KEYS[1] .. 'lease'
local SEQUENCE, IDENTITY = KEYS[1] .. 'sequence', KEYS[1] .. 'identity'
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

-- The sequence begins at the time in microseconds: it never goes back, even in a ledger made anew.
local function identify(candidate)
  if call('SET', IDENTITY, candidate, 'NX') then
    local time = call('TIME')
    call('SET', SEQUENCE, string.format('%.0f', time[1] * 1000000 + time[2]))
  end
end

local function job(id)
  local fields = call('HMGET', OP .. id, 'operation', 'payload', 'state', 'attempts', 'error', 'settled_at', 'outcome',
    'unsure', 'resource')
  if not fields[1] then return false end
  fields[9] = WAITING[fields[3]] and call('ZSCORE', DUE, fields[9]) or false
  return fields
end
