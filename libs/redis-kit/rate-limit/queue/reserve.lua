#!lua flags=allow-oom
--[[ Reserve the next slot of a queue that releases one unit per interval, unless it is too far ahead.
     KEYS[1] when the next slot is free, us since 1970, an integer in decimal digits
     ARGV[1] interval, us   ARGV[2] cost   ARGV[3] the longest wait, us   ARGV[4] the furthest that the next slot can be, us
     Returns {reserved, wait until the slot, wait until the one after it, when the one after it is free}, us.
     A refusal writes nothing; its slot is the next one. Another type or no number at the key: no slot is taken, and SET replaces it.
     Clock: the server's. allow-oom: one small expiring string. ]]
local key = KEYS[1]
local interval, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local longest, furthest = tonumber(ARGV[3]), tonumber(ARGV[4])

local time = redis.call('TIME') -- once: inside a script it is not frozen before Redis 7.2
local now = time[1] * 1000000 + time[2]

local stored = redis.pcall('GET', key)
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local isTime = type(stored) == 'string' and string.find(stored, '^%d+$')
local slot = math.max(isTime and tonumber(stored) or now, now)
-- Further ahead than a full queue: this clock is behind the one that wrote it (failover), or the queue was made shorter. Repaired
-- in Redis even when refused, or each refusal would meet the same future again.
local isAstray = slot > now + furthest
if isAstray then slot = now + furthest end

local isReserved = slot - now <= longest
local free = isReserved and slot + interval * cost or slot
if isReserved or isAstray then
  -- At least 1: PX 0 is an error. '%.0f': `..` and tostring round to 14 digits.
  redis.call('SET', key, string.format('%.0f', free), 'PX', math.max(1, math.ceil((free - now) / 1000)))
end
return { isReserved and 1 or 0, slot - now, free - now, free }
