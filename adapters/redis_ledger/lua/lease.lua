#!lua flags=allow-oom
-- ARGV: time, token, most operations, most of one mailbox, milliseconds, operations after which no other mailbox is
-- begun, bytes of payload after which no other operation is taken, then the resources (none: what is due).
-- Answers the leases, the ids of operations that are in a mailbox and nowhere else, the bytes that were taken, and 1
-- where another step may find more.
local time, token, left, depth = now(), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local ends, step, room, weight = time + tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), 0
local enough = math.max(0, left - step)

local function named()
  local found, names, seen = {}, {}, {}
  for at = 8, #ARGV do names[at - 7] = ARGV[at] end
  for n, score in ipairs(each('ZMSCORE', DUE, names)) do
    local name = names[n]
    if score and tonumber(score) <= time and not seen[name] then found[#found + 1] = name end
    seen[name] = true
  end
  return found
end

-- Whoever let his lease run out may have applied what he had.
local function doubt(id, state)
  if state == 'running' then call('HSET', OP .. id, 'unsure', 1) end
  return state == 'running'
end

-- What a lost holder had beyond that which is leased now.
local function doubt_rest(ids, from, to)
  for n = from, math.min(to, #ids) do
    local fields = call('HMGET', OP .. ids[n], 'state', 'stamp')
    if doubt(ids[n], fields[1]) then wait_as('retrying', ids[n], 'running', fields[2]) end
  end
end

local function take(fields, id)
  if doubt(id, fields[3]) then fields[8] = '1' end
  wait_as('running', id, fields[3], fields[10])
  fields[3] = 'running'
  return job_of(fields, ends)
end

-- An operation that was deleted behind our back cannot hold up those behind it.
local missing = {}
local function drop(resource, id)
  missing[#missing + 1] = id
  count('missing')
  call('LREM', MAILBOX .. resource, 1, id)
end

-- The jobs, and how many of the mailbox were looked at.
local function take_from(resource, ids, most)
  local jobs, looked_at = {}, 0
  for n = 1, math.min(most, #ids) do
    local fields = read(ids[n])
    if fields[3] == 'dead' or weight >= room then break end
    if fields[1] then
      weight = weight + #(fields[2] or '')
      jobs[#jobs + 1] = take(fields, ids[n])
    else
      drop(resource, ids[n])
    end
    looked_at = n
  end
  return jobs, looked_at
end

local leases = {}
local function lease(resource, lost)
  local most = math.min(depth, left)
  local had = lost and tonumber(string.match(lost, '%d+$')) or 0
  local ids = call('LRANGE', MAILBOX .. resource, 0, math.max(most, had) - 1)
  local jobs, looked_at = take_from(resource, ids, most)
  doubt_rest(ids, looked_at + 1, had)
  if #jobs == 0 then
    tidy(resource, call('LINDEX', MAILBOX .. resource, 0))
    return
  end
  leased[resource], due[resource] = token .. ':' .. #jobs, ends
  left = left - #jobs
  leases[#leases + 1] = {resource, jobs}
end

local resources = #ARGV > 7 and named() or call('ZRANGE', DUE, '-inf', time, 'BYSCORE', 'LIMIT', 0, step)
local more = #ARGV == 7 and #resources == step
local lost = each('HMGET', LEASE, resources)
for n, resource in ipairs(resources) do
  if left <= enough or weight >= room then
    more = true
    break
  end
  lease(resource, lost[n])
end
write_changes()
return answer({leases, missing, weight, more and 1 or 0})
