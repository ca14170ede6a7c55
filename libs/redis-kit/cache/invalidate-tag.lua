--[[ Give a tag a new stamp: every value that carries an older one is void from now on, however many there are.
     KEYS[1] tag   ARGV[1] new stamp, random   ARGV[2] how long Redis keeps it, ms
     ARGV[3] channel, or '' on a Cluster   ARGV[4] message for the local copies of other processes
     Returns 'OK'. ]]
local tag = KEYS[1]
local stamp, keepMs = ARGV[1], ARGV[2]
local channel, message = ARGV[3], ARGV[4]

redis.call('SET', tag, stamp, 'PX', keepMs)
if channel ~= '' then
  redis.call('PUBLISH', channel, message)
end
return 'OK'
