--[[ Store what was loaded, if the lease it was loaded under is still the caller's. An invalidation deletes the lease, and
     so does memory pressure at worst: a value that may be older than the last write is refused, never stored.
     KEYS[1] value   KEYS[2] lease
     ARGV[1] the caller's token   ARGV[2] envelope   ARGV[3] how long Redis keeps it, ms
     Returns 1 = stored, 0 = refused. ]]
local value, lease = KEYS[1], KEYS[2]
local token, envelope, keepMs = ARGV[1], ARGV[2], ARGV[3]

if redis.call('GET', lease) ~= token then
  return 0
end
redis.call('SET', value, envelope, 'PX', keepMs)
redis.call('DEL', lease)
return 1
