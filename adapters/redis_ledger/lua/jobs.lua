#!lua flags=no-writes
-- ARGV: time, then the ids.
local jobs = {}
for at = 2, #ARGV do jobs[#jobs + 1] = job(ARGV[at]) end
return answer(jobs)
