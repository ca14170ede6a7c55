--[[ Prolong a claim, if it is still its owner's and not completed.
     KEYS[1] record, hash   ARGV[1] owner   ARGV[2] leaseMs   ARGV[3] ttlMs
     Returns 1, or 0 when it is not. Clock: the server's. ]]
local record = KEYS[1]
local owner, leaseMs, ttlMs = ARGV[1], tonumber(ARGV[2]), ARGV[3]

if redis.call('TYPE', record).ok ~= 'hash' then return 0 end
local known = redis.call('HMGET', record, 'owner', 'status')
if known[1] ~= owner or known[2] then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', record, 'until', string.format('%.0f', now + leaseMs))
redis.call('PEXPIRE', record, ttlMs)
return 1
