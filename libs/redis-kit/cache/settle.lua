--[[ The end of a write: store what was written, if no other writer came in between; else nobody here knows which of the
     two is the newer, so forget the value, and the other writer's lease with it.
     KEYS[1] value   KEYS[2] lease
     ARGV[1] the writer's token   ARGV[2] envelope   ARGV[3] how long Redis keeps it, ms
     ARGV[4] channel, or '' on a Cluster   ARGV[5] message for the local copies of other processes
     Returns 1 = stored, 0 = forgotten. ]]
local value, lease = KEYS[1], KEYS[2]
local token, envelope, keepMs = ARGV[1], ARGV[2], ARGV[3]
local channel, message = ARGV[4], ARGV[5]

local isLatest = redis.call('GET', lease) == token
redis.call('UNLINK', value, lease)
if isLatest then
  redis.call('SET', value, envelope, 'PX', keepMs)
end
if channel ~= '' then
  redis.call('PUBLISH', channel, message)
end
return isLatest and 1 or 0
