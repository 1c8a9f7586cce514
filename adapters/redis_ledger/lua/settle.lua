#!lua flags=allow-oom
-- ARGV: time, seconds that a settled job is kept, the limits in milliseconds by which replays are counted, then for
-- each settlement its resource, token, size of the lease, milliseconds until it is due again, the number of verdicts,
-- and for each verdict its kind (`done`, `dead`, `again`), the operation's id, a text (outcome or error), and words:
-- for `done` what it is counted as (`succeeded`, `failed`, `superseded`), for others any of `blocks`, `counts`,
-- `unsure`, `error` (there is a text).
local time, retention, limits = now(), ARGV[2], {}
for limit in string.gmatch(ARGV[3], '%d+') do limits[#limits + 1] = tonumber(limit) end

local function count_replay(held_at)
  local took, bucket = math.max(0, time - math.floor(held_at / 1000)), 'inf'
  for n = #limits, 1, -1 do
    if took <= limits[n] then bucket = limits[n] end
  end
  count('within:' .. bucket)
  count('replay_ms', took)
end

-- Each records a verdict and tells whether its operation stays in the mailbox.
local judge = {}

function judge.done(id, state, outcome, counted, held_at)
  local key, to = OP .. id, counted == 'superseded' and 'failed' or counted
  call('HSET', key, 'state', to, 'settled_at', time, 'outcome', outcome, 'payload', '')
  call('EXPIRE', key, retention)
  move(id, state, to, stamp(time))
  count(counted)
  count_replay(held_at)
  return false
end

function judge.dead(id, state, error, words)
  local key = OP .. id
  call('HSET', key, 'state', 'dead', 'settled_at', time, 'error', error)
  call('HINCRBY', key, 'attempts', 1)
  move(id, state, 'dead', stamp(time))
  count('died')
  if words ~= 'blocks' then return false end
  call('HSET', key, 'blocks', 1)
  return true
end

function judge.again(id, state, error, words)
  local key = OP .. id
  wait_as('retrying', id, state)
  local fault = string.find(words, 'counts', 1, true)
  if fault then call('HINCRBY', key, 'attempts', 1) end
  count(fault and 'faults' or 'put_back')
  if string.find(words, 'unsure', 1, true) then call('HSET', key, 'unsure', 1) end
  if string.find(words, 'error', 1, true) then call('HSET', key, 'error', error) end
  return true
end

-- The n-th verdict is for the n-th of the mailbox: each of them takes one off or leaves one behind.
-- Returns how many it settled, the ids that stay, and the number of the first one without a verdict.
local function verdicts(ids, at, count, holder)
  local settled, stay = 0, {}
  for n = 1, count do
    local kind, id = ARGV[at], ARGV[at + 1]
    local known = ids[n] == id and (holder or kind == 'done') and call('HMGET', OP .. id, 'state', 'stamp')
    local state = known and known[1]
    if not state or not WAITING[state] then return settled, stay, n end
    if judge[kind](id, state, ARGV[at + 2], ARGV[at + 3], known[2]) then stay[#stay + 1] = id end
    if kind ~= 'again' then settled = settled + 1 end
    at = at + 4
  end
  return settled, stay, count + 1
end

-- Take the first `judged` off, but for those that stay.
local function take_off(mailbox, judged, stay)
  if judged == #stay then return end
  call('LPOP', mailbox, judged)
  for n = #stay, 1, -1 do call('LPUSH', mailbox, stay[n]) end
end

local function settle(resource, lease, token, size, due_in, count, at)
  local mailbox = MAILBOX .. resource
  if leased[resource] == false then lease = false end
  local holder = lease and string.match(lease, '^(.*):') == token
  local ids = call('LRANGE', mailbox, 0, math.max(size, count))
  local settled, stay, rest = verdicts(ids, at, count, holder)
  take_off(mailbox, rest - 1, stay)
  for n = rest, holder and math.min(size, #ids) or 0 do
    if call('HGET', OP .. ids[n], 'state') == 'running' then wait_as('retrying', ids[n], 'running') end
  end
  local can_be_due = tidy(resource, stay[1] or ids[rest])
  if holder then leased[resource] = false end
  if holder and can_be_due then due[resource] = time + due_in end
  return settled
end

local starts, resources, at = {}, {}, 4
while at <= #ARGV do
  starts[#starts + 1], resources[#resources + 1] = at, ARGV[at]
  at = at + 5 + 4 * ARGV[at + 4]
end
local leases, counts = each('HMGET', LEASE, resources), {}
for n, first in ipairs(starts) do
  counts[n] = settle(resources[n], leases[n], ARGV[first + 1], tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3]),
    tonumber(ARGV[first + 4]), first + 5)
end
write_changes()
return answer(counts)
