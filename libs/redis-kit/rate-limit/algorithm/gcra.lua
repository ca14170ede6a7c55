#!lua flags=allow-oom
--[[ Decide one request by GCRA: admit it and move the arrival time on, or deny it and write nothing.
     KEYS[1] theoretical arrival time (TAT), us since 1970, an integer in decimal digits
     ARGV[1] emission interval, us   ARGV[2] tolerance, us   ARGV[3] cost   ARGV[4] check, peek or penalize
     Returns {allowed, remaining, retryAfterMs, resetAfterMs, TAT}; retryAfterMs is -1 when the cost never fits.
     peek charges nothing. penalize empties the bucket by up to `cost`, and answers as a peek for one unit would.
     Another type or no number at the key: a bucket never used, and SET replaces it.
     Clock: the server's. allow-oom: one small expiring string; a full server must still limit. ]]
local key, mode = KEYS[1], ARGV[4]
local interval, tolerance, charge = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[1] * ARGV[3]

local time = redis.call('TIME') -- once: inside a script it is not frozen before Redis 7.2
local now = time[1] * 1000000 + time[2]

local stored = redis.pcall('GET', key)
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local tat = tonumber(stored)
if not tat or tat % 1 ~= 0 or tat < now then tat = now end -- `% 1` finds fractions, and infinity and "nan" too
-- Further ahead than a full burst: this clock is behind the one that wrote it (failover), or the limit was lowered. Repaired
-- in Redis even when denied, or each denial would meet the same future again, and the ban last as long as the skew.
local isAstray = tat > now + tolerance
if isAstray then tat = now + tolerance end

local isPenalty = mode == 'penalize'
if isPenalty then tat, charge = math.min(tat + charge, now + tolerance), interval end
local early = tat + charge - tolerance - now
local isAllowed = early <= 0
local isCharged = isAllowed and mode == 'check'
if isCharged then tat = tat + charge end

local resetAfterMs = math.ceil((tat - now) / 1000)
if isCharged or isPenalty or isAstray then
  -- At least 1: PX 0 is an error. A number as it is: redis.call writes 17 digits, `..` and tostring round to 14.
  redis.call('SET', key, tat, 'PX', math.max(1, resetAfterMs))
end

local remaining = math.floor((tolerance - (tat - now)) / interval)
local retryAfterMs = (isAllowed and 0) or (charge > tolerance and -1) or math.ceil(early / 1000)
return { isAllowed and 1 or 0, remaining, retryAfterMs, resetAfterMs, tat }
