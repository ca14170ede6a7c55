--[[ Set a key.   KEYS[1] the key   ARGV[1] value   ARGV[2] time to live, ms   Returns OK. ]]
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
