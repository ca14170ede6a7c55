--[[ Put a message aside until its retry is due, if it is still ours. It stays pending, so trimming spares it.
     KEYS[1] stream   KEYS[2] retry set
     ARGV[1] group    ARGV[2] consumer   ARGV[3] id   ARGV[4] delay, ms   ARGV[5] life of the set, ms
     ARGV[6] deliveries to remember: one less when this one is not held against the message
     Returns 1, or 0 if it is another's or already finished. Clock: the server's. ]]
local stream, retry = KEYS[1], KEYS[2]
local group, consumer, id, delayMs, lifeMs, deliveries = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending or pending[2] ~= consumer then return 0 end
if pending[4] ~= tonumber(deliveries) then
  redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', deliveries, 'JUSTID')
end
local time = redis.call('TIME')
redis.call('ZADD', retry, time[1] * 1000 + math.floor(time[2] / 1000) + delayMs, id)
redis.call('PEXPIRE', retry, lifeMs) -- should the set be lost, the retry only comes sooner
return 1
