#!lua flags=no-writes
-- ARGV: time, most resources.
return answer(call('ZRANGE', DUE, '-inf', now(), 'BYSCORE', 'LIMIT', 0, ARGV[2]))
