--[[ Take, renew or (ttl 0) give back the right to read one partition for one group.
     KEYS[1] lease
     ARGV[1] consumer   ARGV[2] ttl, ms
     Returns 1 if the consumer holds it now, else 0. A consumer's name is its identity: two live ones must not share it. ]]
local lease = KEYS[1]
local consumer, ttlMs = ARGV[1], tonumber(ARGV[2])

local holder = redis.call('GET', lease)
if holder and holder ~= consumer then return 0 end
if ttlMs == 0 then
  redis.call('DEL', lease)
  return 0
end
redis.call('SET', lease, consumer, 'PX', ttlMs)
return 1
