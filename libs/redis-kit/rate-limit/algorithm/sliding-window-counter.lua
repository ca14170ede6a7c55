#!lua flags=allow-oom
--[[ Decide one request by two counters: previous units count by the share of their window within one length of now, rounded down.
     KEYS[1] hash: start (of a window, us since 1970), current (units in it), previous (units in the window before)
     ARGV[1] units per window   ARGV[2] window, us   ARGV[3] cost   ARGV[4] check, peek or penalize
     Returns {allowed, remaining, retryAfterMs, resetAfterMs, end of the next window, us}; retryAfterMs is -1 when the cost
     never fits. peek charges nothing. penalize takes up to `cost`, and answers as a peek for one unit would.
     Another type or other fields at the key: no units. Clock: the server's. allow-oom: as in gcra.lua. ]]
local key, mode = KEYS[1], ARGV[4]
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME') -- once: inside a script it is not frozen before Redis 7.2
local now = time[1] * 1000000 + time[2]
local start, left = now - now % window, window - now % window

local stored = redis.pcall('HMGET', key, 'start', 'current', 'previous')
if stored.err and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local function whole(text) local n = tonumber(text) return n and n >= 0 and n % 1 == 0 and n end -- infinity % 1 is "nan"
local since, current, previous = whole(stored[1]), whole(stored[2]), whole(stored[3])
local isKnown = since and current and previous
if not isKnown or since < start - window then since, current, previous = start, 0, 0 end
if since < start then current, previous = 0, current end
current, previous = math.min(current, limit), math.min(previous, limit)
local isAstray = since > start -- see fixed-window.lua

local function spare() return math.max(0, limit - current - math.floor(previous * left / window)) end
if mode == 'penalize' then current, cost = current + math.min(cost, spare()), 1 end
local isAllowed = cost <= spare()
local isCharged = isAllowed and mode == 'check'
if isCharged then current = current + cost end
if isCharged or mode == 'penalize' or isAstray then
  if not isKnown then redis.call('DEL', key) end
  redis.call('HSET', key, 'start', start, 'current', current, 'previous', previous)
  redis.call('PEXPIRE', key, math.ceil((left + window) / 1000))
end
-- The us until at most `kept` of these units still count, when `share` us of their window count now. 0 or less: no more do.
local function fadeUs(units, kept, share) return share + 1 - math.ceil((kept + 1) * window / units) end
local waitUs = current + cost <= limit and fadeUs(previous, limit - current - cost, left)
  or left + fadeUs(current, limit - cost, window) -- in the next window, in which they are the previous ones
local retryUs = (isAllowed and 0) or (cost > limit and -1000) or waitUs + (limit * window > 2 ^ 52 and 1 or 0) -- rounded above
local resetUs = (current > 0 and left + fadeUs(current, 0, window)) or math.max(0, fadeUs(previous, 0, left))
return { isAllowed and 1 or 0, spare(), math.ceil(retryUs / 1000), math.ceil(resetUs / 1000), start + 2 * window }
