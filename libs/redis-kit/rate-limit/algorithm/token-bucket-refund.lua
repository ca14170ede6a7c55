#!lua flags=allow-oom
--[[ Give the tokens of one charge back, once, unless the bucket may have been full in the meantime.
     KEYS[1] hash: see token-bucket.lua   KEYS[2] marker: this charge was given back
     ARGV[1] units of a token   ARGV[2] units refilled per us   ARGV[3] tokens of a full bucket
     ARGV[4] cost   ARGV[5] when the bucket was to be full after the charge, us
     Returns 1 when given back, else 0. Clock: the server's. ]]
local key, marker = KEYS[1], KEYS[2]
local unit, rate, chargedFull = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local full, cost = ARGV[3] * unit, ARGV[4] * unit

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.pcall('HMGET', key, 'tokens', 'part', 'at')
if stored.err and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local function whole(text) local n = tonumber(text) return n and n >= 0 and n % 1 == 0 and n end -- infinity % 1 is "nan"
local tokens, part, at = whole(stored[1]), whole(stored[2]), whole(stored[3])
if not (tokens and part and at) or chargedFull <= now or chargedFull > now + math.ceil(full / rate) then return 0 end
local level = tokens * unit + math.min(part, unit - 1) + math.max(0, now - at) * rate
if level >= full then return 0 end
if not redis.call('SET', marker, 1, 'NX', 'PX', math.ceil((chargedFull - now) / 1000)) then return 0 end

level = level + cost
if level >= full then
  redis.call('DEL', key)
else
  redis.call('HSET', key, 'tokens', math.floor(level / unit), 'part', level % unit, 'at', now)
  redis.call('PEXPIRE', key, math.ceil(math.ceil((full - level) / rate) / 1000))
end
return 1
