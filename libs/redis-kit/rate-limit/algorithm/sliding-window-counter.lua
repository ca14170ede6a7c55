#!lua flags=allow-oom
--[[ Decide one request by two counters: the window before counts by the share of it that still lies within one length of now.
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

local function room(units) return (limit - current - units) * window end -- for the previous units, times us: whole numbers
local function spare() return math.max(0, math.floor((room(0) - previous * left) / window)) end
if mode == 'penalize' then current, cost = current + math.min(cost, spare()), 1 end
local isAllowed = previous * left <= room(cost)
local isCharged = isAllowed and mode == 'check'
if isCharged then current = current + cost end
if isCharged or mode == 'penalize' or isAstray then
  if not isKnown then redis.call('DEL', key) end
  redis.call('HSET', key, 'start', start, 'current', current, 'previous', previous)
  redis.call('PEXPIRE', key, math.ceil((left + window) / 1000))
end
-- The previous units have to move out of the last window length; or, in the next window, the current ones. Above 2^52: rounded.
local moveOutUs = room(cost) >= 0 and left - math.floor(room(cost) / previous)
  or left + window - math.floor((limit - cost) * window / current)
local retryUs = (isAllowed and 0) or (cost > limit and -1000) or moveOutUs + (limit * window > 2 ^ 52 and 1 or 0)
local resetUs = (current > 0 and left + window) or (previous > 0 and left) or 0
return { isAllowed and 1 or 0, spare(), math.ceil(retryUs / 1000), math.ceil(resetUs / 1000), start + 2 * window }
