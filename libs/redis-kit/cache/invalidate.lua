--[[ Forget a value. Deleting the lease as well is what voids every load in flight: their fills will be refused.
     KEYS[1] value   KEYS[2] lease   ARGV[1] channel, or '' on a Cluster   ARGV[2] message for the local copies of other processes
     Returns how many of the two keys there were. ]]
local value, lease = KEYS[1], KEYS[2]
local channel, message = ARGV[1], ARGV[2]

local count = redis.call('UNLINK', value, lease)
if channel ~= '' then
  redis.call('PUBLISH', channel, message)
end
return count
