#!lua flags=allow-oom
--[[ State that all API keys are here, unless something was lost since the rewrite began: then its name is gone too.
     KEYS[1] the projection's hash   ARGV[1] name of the rewrite: the mark that readers see   ARGV[2] lifetime, ms
     Returns 1, or 0 when the keys were lost or another rewrite has begun: look again. ]]
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return 0 end
if redis.call('HGET', KEYS[1], 'rewrite') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'complete', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
