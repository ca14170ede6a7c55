--[[ A writer's lease: taken from whoever holds it, so that no load that began before the write can be stored.
     KEYS[1] lease   ARGV[1] the writer's token   ARGV[2] how long the lease lasts, ms
     Returns nowMs. Clock: the server's. ]]
local lease = KEYS[1]
local token, leaseMs = ARGV[1], ARGV[2]

redis.call('SET', lease, token, 'PX', leaseMs)
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
