--[[ Say that a consumer of a group is alive, or (ttl 0) that it leaves.
     KEYS[1] members, scored by when they count as gone
     ARGV[1] consumer   ARGV[2] ttl, ms
     Returns the names of the living. Clock: the server's. ]]
local members = KEYS[1]
local consumer, ttlMs = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZREMRANGEBYSCORE', members, '-inf', now)
if ttlMs == 0 then
  redis.call('ZREM', members, consumer)
else
  redis.call('ZADD', members, now + ttlMs, consumer)
  redis.call('PEXPIRE', members, ttlMs)
end
return redis.call('ZRANGE', members, 0, -1)
