#!lua flags=no-writes
-- ARGV: time, cursor, most jobs, then the states. Answers the jobs by their stamps, and the next cursor or empty.
local found, most = {}, tonumber(ARGV[3])
for at = 4, #ARGV do
  local page = call('ZRANGE', STATE .. ARGV[at], '(' .. ARGV[2], '+inf', 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
  for n = 1, #page, 2 do found[#found + 1] = {page[n], tonumber(page[n + 1]), ARGV[at]} end
end
table.sort(found, function(one, other) return one[2] < other[2] end)

local jobs = {}
for n = 1, math.min(most, #found) do
  local listed = job(found[n][1])
  if listed and listed[3] == found[n][3] then jobs[#jobs + 1] = listed end
end
return answer({jobs, #found >= most and string.format('%.0f', found[most][2]) or ''})
