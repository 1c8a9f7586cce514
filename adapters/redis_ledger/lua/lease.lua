#!lua flags=allow-oom
-- ARGV: time, token, most operations, most of one mailbox, milliseconds, then the resources (none: what is due).
local time, token, left, depth = now(), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local ends = time + tonumber(ARGV[5])

-- Whoever let his lease run out may have applied what he had.
local function doubt(resource)
  local old = call('HGET', LEASE, resource)
  if not old then return end
  for _, id in ipairs(call('LRANGE', MAILBOX .. resource, 0, string.match(old, '%d+$') - 1)) do
    if call('HGET', OP .. id, 'state') == 'running' then
      call('HSET', OP .. id, 'unsure', 1)
      wait_as('retrying', id, 'running')
    end
  end
end

local function take(resource, most)
  local jobs = {}
  for _, id in ipairs(call('LRANGE', MAILBOX .. resource, 0, most - 1)) do
    local state = call('HGET', OP .. id, 'state')
    if state == 'dead' then break end
    wait_as('running', id, state)
    jobs[#jobs + 1] = id
  end
  call('HSET', LEASE, resource, token .. ':' .. #jobs)
  call('ZADD', DUE, ends, resource)
  for at, id in ipairs(jobs) do jobs[at] = job(id) end
  return jobs
end

local leases = {}
local function lease(resource)
  doubt(resource)
  local jobs = take(resource, math.min(depth, left))
  left = left - #jobs
  leases[#leases + 1] = {resource, jobs}
end

if #ARGV == 5 then
  for _, resource in ipairs(call('ZRANGE', DUE, '-inf', time, 'BYSCORE', 'LIMIT', 0, left)) do
    if left > 0 then lease(resource) end
  end
end
for at = 6, #ARGV do
  local due = call('ZSCORE', DUE, ARGV[at])
  if left > 0 and due and tonumber(due) <= time then lease(ARGV[at]) end
end
return answer(leases)
