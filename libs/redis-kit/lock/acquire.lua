--[[ Take a lock that nobody holds, together with the next fence.
     KEYS[1] lock, string: its holder   KEYS[2] the last fence given out, string in decimal digits
     ARGV[1] holder   ARGV[2] ttlMs   ARGV[3] fenceTtlMs
     Returns {1, fence}, or {0, ms that its holder has left}. Clock: the server's.
     Running it again for the same holder gives the same fence and no more time. ]]
local lock, lastFence = KEYS[1], KEYS[2]
local holder, ttlMs, fenceTtlMs = ARGV[1], ARGV[2], ARGV[3]

local last = redis.call('GET', lastFence)
if not redis.call('SET', lock, holder, 'NX', 'PX', ttlMs) then
  if last and redis.call('GET', lock) == holder then return { 1, last } end
  return { 0, math.max(1, redis.call('PTTL', lock)) }
end

-- Microseconds since 1970, so that it goes on growing when the last one is lost; one more than the last, so that it does so
-- too when the clock went back. '%.0f': `..` and tostring round to 14 digits.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local fence = string.format('%.0f', math.max(now, tonumber(last or 0) + 1))
redis.call('SET', lastFence, fence, 'PX', fenceTtlMs)
return { 1, fence }
