#!lua flags=allow-oom
--[[ Note that all API keys are about to be written. What was said before about completeness stays, and expires when it would have.
     KEYS[1] the projection's hash, of any type: what is no hash is replaced
     ARGV[1] name of this rewrite   ARGV[2] lifetime of a new hash, ms
     Returns 1. ]]
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'rewrite', ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
