#!lua flags=allow-oom
--[[ Decide one request by a token bucket: take its tokens and count the rest, or deny it and write nothing.
     KEYS[1] hash: tokens (whole ones), part (of the next one, in units), at (when they were counted, us since 1970)
     ARGV[1] units of a token   ARGV[2] units refilled per us   ARGV[3] tokens of a full bucket
     ARGV[4] cost   ARGV[5] check, peek or penalize
     Returns {allowed, remaining, retryAfterMs, resetAfterMs, when it is full, us}; retryAfterMs is -1 when the cost never fits.
     peek charges nothing. penalize empties the bucket by up to `cost`, and answers as a peek for one token would.
     Another type or other fields at the key: a full bucket. Clock: the server's. allow-oom: as in gcra.lua. ]]
local key, mode = KEYS[1], ARGV[5]
local unit, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local full, cost = ARGV[3] * unit, ARGV[4] * unit

local time = redis.call('TIME') -- once: inside a script it is not frozen before Redis 7.2
local now = time[1] * 1000000 + time[2]

local stored = redis.pcall('HMGET', key, 'tokens', 'part', 'at')
if stored.err and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local function whole(text) local n = tonumber(text) return n and n >= 0 and n % 1 == 0 and n end -- infinity % 1 is "nan"
local tokens, part, at = whole(stored[1]), whole(stored[2]), whole(stored[3])
local isKnown = tokens and part and at
local level = isKnown and math.min(full, tokens * unit + math.min(part, unit - 1)) or full
-- Counted in the future: this clock is behind the one that wrote it (failover). Written back even when denied, see gcra.lua.
local isAstray = isKnown and at > now
if isKnown and at < now then level = math.min(full, level + (now - at) * rate) end

local isPenalty = mode == 'penalize'
if isPenalty then level, cost = math.max(0, level - cost), unit end
local isAllowed = cost <= level
local retryAfterMs = (isAllowed and 0) or (cost > full and -1) or math.ceil(math.ceil((cost - level) / rate) / 1000)
local isCharged = isAllowed and mode == 'check'
if isCharged then level = level - cost end

local fullInUs = math.ceil((full - level) / rate)
local resetAfterMs = math.ceil(fullInUs / 1000)
if isCharged or isPenalty or isAstray then
  if not isKnown then redis.call('DEL', key) end
  redis.call('HSET', key, 'tokens', math.floor(level / unit), 'part', level % unit, 'at', now)
  redis.call('PEXPIRE', key, math.max(1, resetAfterMs))
end
return { isAllowed and 1 or 0, math.floor(level / unit), retryAfterMs, resetAfterMs, now + fullInUs }
