#!lua flags=allow-oom
-- ARGV: time, seconds that a settled job is kept, then for each settlement its resource, token, size of the lease,
-- milliseconds until it is due again, the number of verdicts, and for each verdict its kind (`done`, `dead`,
-- `again`), the operation's id, a text (outcome or error), and words: for `done` the state, for others any of
-- `blocks`, `counts`, `unsure`, `error` (there is a text).
local time, retention = now(), ARGV[2]

local function finish(id, state, to)
  call('HSET', OP .. id, 'state', to, 'settled_at', time)
  move(id, state, to, call('INCR', SEQUENCE))
end

local judge = {}

function judge.done(id, state, outcome, to)
  local key = OP .. id
  finish(id, state, to)
  call('HSET', key, 'outcome', outcome)
  call('HDEL', key, 'payload')
  call('EXPIRE', key, retention)
  return false
end

function judge.dead(id, state, error, words)
  local key = OP .. id
  finish(id, state, 'dead')
  call('HSET', key, 'error', error)
  call('HINCRBY', key, 'attempts', 1)
  if words ~= 'blocks' then return false end
  call('HSET', key, 'blocks', 1)
  return true
end

function judge.again(id, state, error, words)
  local key = OP .. id
  wait_as('retrying', id, state)
  if string.find(words, 'counts', 1, true) then call('HINCRBY', key, 'attempts', 1) end
  if string.find(words, 'unsure', 1, true) then call('HSET', key, 'unsure', 1) end
  if string.find(words, 'error', 1, true) then call('HSET', key, 'error', error) end
  return true
end

-- The n-th verdict is for the n-th of the mailbox: each of them takes one off or leaves one behind.
local function verdicts(resource, ids, at, count, holder)
  local settled, gone = 0, 0
  for n = 1, count do
    local kind, id = ARGV[at], ARGV[at + 1]
    local state = ids[n] == id and (holder or kind == 'done') and call('HGET', OP .. id, 'state')
    if not state or not WAITING[state] then return settled, gone, n end
    local stays = judge[kind](id, state, ARGV[at + 2], ARGV[at + 3])
    if kind ~= 'again' then settled = settled + 1 end
    if not stays and gone == n - 1 then
      gone = n
    elseif not stays then
      call('LREM', MAILBOX .. resource, 1, id)
    end
    at = at + 4
  end
  return settled, gone, count + 1
end

local function settle(resource, token, leased, due_in, count, at)
  local mailbox = MAILBOX .. resource
  local lease = call('HGET', LEASE, resource)
  local holder = lease and string.match(lease, '^(.*):') == token
  local ids = call('LRANGE', mailbox, 0, math.max(leased, count) - 1)
  if #ids == 0 then return 0 end
  local settled, gone, rest = verdicts(resource, ids, at, count, holder)
  if gone > 0 then call('LPOP', mailbox, gone) end
  for n = rest, holder and leased or 0 do
    if ids[n] and call('HGET', OP .. ids[n], 'state') == 'running' then wait_as('retrying', ids[n], 'running') end
  end
  local can_be_due = tidy(resource)
  if holder then call('HDEL', LEASE, resource) end
  if holder and can_be_due then call('ZADD', DUE, time + due_in, resource) end
  return settled
end

local counts, at = {}, 3
while at <= #ARGV do
  local count = tonumber(ARGV[at + 4])
  counts[#counts + 1] = settle(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), count, at + 5)
  at = at + 5 + 4 * count
end
return answer(counts)
