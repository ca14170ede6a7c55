#!lua flags=allow-oom
--[[ Decide one request by a log: one member per unit of the last period, or deny it and write nothing.
     KEYS[1] sorted set: member `<charge>:<n>`, score when it was charged, us since 1970
     ARGV[1] units per period   ARGV[2] period, us   ARGV[3] cost   ARGV[4] check, peek or penalize   ARGV[5] id of the charge
     Returns {allowed, remaining, retryAfterMs, resetAfterMs, when this charge is a period old, us}; retryAfterMs is -1 when the
     cost never fits. peek charges nothing. penalize takes up to `cost`, and answers as a peek for one unit would.
     Another type at the key: no units. Clock: the server's. allow-oom: at most ARGV[1] small members, which expire. ]]
local key, mode, charge = KEYS[1], ARGV[4], ARGV[5]
local limit, period, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME') -- once: inside a script it is not frozen before Redis 7.2
local now = time[1] * 1000000 + time[2]
local function after(us) return string.format('(%.0f', us) end

local newest = redis.pcall('ZRANGE', key, -1, -1, 'WITHSCORES')
if newest.err and not string.find(newest.err, 'WRONGTYPE', 1, true) then return newest end
local newestAt = tonumber(newest[2]) or 0
if newestAt > now then -- this clock is behind the one that wrote it (failover). Moved to now even when denied, see gcra.lua.
  redis.call('ZREMRANGEBYRANK', key, 0, -limit - 1) -- a higher limit's: more do not change a decision
  local ahead = redis.call('ZRANGEBYSCORE', key, after(now), '+inf')
  for _, member in ipairs(ahead) do redis.call('ZADD', key, now, member) end
  redis.call('PEXPIRE', key, math.ceil(period / 1000))
  newestAt = now
end
local used = newest.err and 0 or redis.call('ZCOUNT', key, after(now - period), '+inf')
local isAllowed = used + cost <= limit
local taken = (mode == 'penalize' and math.min(cost, limit - used)) or (mode == 'check' and isAllowed and cost) or 0
if taken > 0 then
  if newest.err then redis.call('DEL', key) end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - period)
  for n = 1, taken do redis.call('ZADD', key, now, charge .. ':' .. n) end
  redis.call('PEXPIRE', key, math.ceil(period / 1000))
  used, newestAt = used + taken, now
end
if mode == 'penalize' then isAllowed, cost = used < limit, 1 end
local surplus = cost - limit - 1 -- the rank of the unit that is one too many, from the newest
local function leavesUs() return redis.call('ZRANGE', key, surplus, surplus, 'WITHSCORES')[2] + period - now end
local retryAfterMs = (isAllowed and 0) or (cost > limit and -1) or math.ceil(leavesUs() / 1000)
local resetAfterMs = used > 0 and math.ceil((newestAt + period - now) / 1000) or 0
return { isAllowed and 1 or 0, math.max(0, limit - used), retryAfterMs, resetAfterMs, now + period }
