#!lua flags=allow-oom
--[[ Decide one request by GCRA: admit it and write the new arrival time, or deny it and write nothing.
     KEYS[1] theoretical arrival time (TAT), us since 1970, written as an integer
     ARGV[1] emission interval, us   ARGV[2] tolerance, us   ARGV[3] charge (interval * cost), us
     Returns {allowed, remaining, retryAfterMs, resetAfterMs, tatUs}; retryAfterMs is -1 when the charge never fits.
     Clock: the server's. allow-oom: one small expiring string; a limiter that stops under load is no limiter. ]]
local key = KEYS[1]
local interval, tolerance, charge = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local time = redis.call('TIME') -- once: inside a script it is not frozen before Redis 7.2
local now = time[1] * 1000000 + time[2]

-- Never further ahead than a full burst: after a failover to a server whose clock is behind, nobody is locked out longer.
local tat = tonumber(redis.call('GET', key) or now)
tat = math.min(math.max(tat, now), now + tolerance)

local newTat = tat + charge
local early = newTat - tolerance - now
if charge > tolerance or early > 0 then
  local retryAfterMs = charge > tolerance and -1 or math.ceil(early / 1000)
  return { 0, math.floor((tolerance - (tat - now)) / interval), retryAfterMs, math.ceil((tat - now) / 1000), 0 }
end

local resetAfterMs = math.max(1, math.ceil((newTat - now) / 1000)) -- 0 would delete the key, and with it the limit
redis.call('SET', key, string.format('%.0f', newTat), 'PX', resetAfterMs) -- '%.0f': .. and tostring round to 14 digits
return { 1, math.floor((tolerance - (newTat - now)) / interval), 0, resetAfterMs, newTat }
