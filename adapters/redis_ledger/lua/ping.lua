#!lua flags=allow-oom
-- ARGV: time, identity to take if there is none. A script that may write is refused where nothing can be written.
call('SET', IDENTITY, ARGV[2], 'NX')
return answer(1)
