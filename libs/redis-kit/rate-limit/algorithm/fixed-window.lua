#!lua flags=allow-oom
--[[ Decide one request by a fixed window: count its units in the window of now, or deny it and write nothing.
     KEYS[1] `<start of a window, us since 1970>:<units in it>`
     ARGV[1] units per window   ARGV[2] window, us   ARGV[3] cost   ARGV[4] check, peek or penalize
     Returns {allowed, remaining, retryAfterMs, resetAfterMs, end of the window, us}; retryAfterMs is -1 when the cost never fits.
     peek charges nothing. penalize fills the window by up to `cost`, and answers as a peek for one unit would.
     Windows begin at multiples of their length since 1970. Another type or text at the key: a window without units.
     Clock: the server's. allow-oom: as in gcra.lua. ]]
local key, mode = KEYS[1], ARGV[4]
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local time = redis.call('TIME') -- once: inside a script it is not frozen before Redis 7.2
local now = time[1] * 1000000 + time[2]
local start = now - now % window

local stored = redis.pcall('GET', key)
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local storedStart, units = string.match(type(stored) == 'string' and stored or '', '^(%d+):(%d+)$')
storedStart, units = tonumber(storedStart) or 0, tonumber(units) or 0
-- A later window: this clock is behind the one that wrote it (failover), or the window was shorter. Its units count now, and
-- that is written even when denied: see gcra.lua.
local isAstray = storedStart > start
local used = storedStart >= start and math.min(units, limit) or 0

local isPenalty = mode == 'penalize'
if isPenalty then used, cost = math.min(limit, used + cost), 1 end
local isAllowed = used + cost <= limit
local isCharged = isAllowed and mode == 'check'
if isCharged then used = used + cost end

local leftMs = math.ceil((start + window - now) / 1000)
if isCharged or isPenalty or isAstray then
  redis.call('SET', key, string.format('%.0f:%.0f', start, used), 'PX', leftMs)
end
local retryAfterMs = (isAllowed and 0) or (cost > limit and -1) or leftMs
return { isAllowed and 1 or 0, limit - used, retryAfterMs, used > 0 and leftMs or 0, start + window }
