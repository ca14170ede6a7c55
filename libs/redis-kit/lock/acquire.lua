--[[ Take a lock that nobody holds, together with the next fence.
     KEYS[1] lock, string: its holder   KEYS[2] the last fence given out, string in decimal digits
     ARGV[1] holder   ARGV[2] ttlMs   ARGV[3] fenceTtlMs   ARGV[4] longestMs, the longest that any holder asks for
     Returns {1, fence}, or {0, ms that its holder has left}. Clock: the server's.
     Running it again for the same holder gives the same fence and no more time.
     No holder leaves a lock of another type, without expiry or beyond longestMs: such a key ends after longestMs. ]]
local lock, lastFence = KEYS[1], KEYS[2]
local holder, ttlMs, fenceTtlMs, longestMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local function get(key) return redis.call('TYPE', key).ok == 'string' and redis.call('GET', key) end

-- What is not a whole number below 2^53 was never given out: as if the fence were lost.
local last = get(lastFence)
if last and not (string.find(last, '^%d+$') and tonumber(last) < 2^53 - 1) then last = false end
if not redis.call('SET', lock, holder, 'NX', 'PX', ttlMs) then
  if last and get(lock) == holder then return { 1, last } end
  local leftMs = redis.call('PTTL', lock)
  if leftMs >= 0 and leftMs <= longestMs then return { 0, math.max(1, leftMs) } end
  redis.call('PEXPIRE', lock, longestMs)
  return { 0, longestMs }
end

-- Microseconds since 1970, so that it goes on growing when the last one is lost; one more than the last, so that it does so
-- too when the clock went back. '%.0f': `..` and tostring round to 14 digits.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local fence = string.format('%.0f', math.max(now, tonumber(last or 0) + 1))
redis.call('SET', lastFence, fence, 'PX', fenceTtlMs)
return { 1, fence }
