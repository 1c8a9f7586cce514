#!lua flags=allow-oom
-- ARGV: time, identity to take if there is none. A script that may write is refused where nothing can be written.
identify(ARGV[2])
return answer(1)
