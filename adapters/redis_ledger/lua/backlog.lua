#!lua flags=no-writes
-- ARGV: time, cursor, most resources. Answers the resources, the next cursor and how many there are in all.
local entered = call('ZRANGE', BACKLOG, '(' .. ARGV[2], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[3])
local cursor = #entered > 0 and call('ZSCORE', BACKLOG, entered[#entered]) or ARGV[2]
return answer({entered, cursor, call('ZCARD', BACKLOG)})
