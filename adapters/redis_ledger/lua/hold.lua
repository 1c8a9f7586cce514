#!lua
-- ARGV: time, identity to take if there is none, most operations, then for each operation its id, resource, whether
-- it is unsure, the operation without its payload, and the payload.
-- Answers the number of operations that are held when these do not fit, and has done nothing.
local time = now()

local function held()
  local sum = call('ZCARD', STATE .. 'dead')
  for state in pairs(WAITING) do sum = sum + call('ZCARD', STATE .. state) end
  return sum
end

local function count_new()
  local new, seen = 0, {}
  for at = 4, #ARGV, 5 do
    local id = ARGV[at]
    if not seen[id] and call('EXISTS', OP .. id) == 0 then new = new + 1 end
    seen[id] = true
  end
  return new
end

local before, most = held(), tonumber(ARGV[3])
if before + (#ARGV - 3) / 5 > most and before + count_new() > most then return answer(before) end

call('SET', IDENTITY, ARGV[2], 'NX')
local jobs = {}
for at = 4, #ARGV, 5 do
  local id, resource, key = ARGV[at], ARGV[at + 1], OP .. ARGV[at]
  local new = call('HSETNX', key, 'state', 'queued') == 1
  if new then
    local place = stamp(time)
    call('HSET', key, 'resource', resource, 'stamp', place, 'operation', ARGV[at + 3], 'payload', ARGV[at + 4])
    move(id, nil, 'queued', place)
    append(resource, id, time)
    count('held')
  end
  if ARGV[at + 2] == '1' and (new or WAITING[call('HGET', key, 'state')]) then call('HSET', key, 'unsure', 1) end
  jobs[#jobs + 1] = new and due_of(resource) or changed_job(id)
end
write_changes()
return answer(jobs)
