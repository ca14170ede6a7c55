#!lua flags=allow-oom
--[[ Give the units of one charge back, once, as long as their window is the current or the previous one.
     KEYS[1] hash: see sliding-window-counter.lua   KEYS[2] marker: this charge was given back
     ARGV[1] units per window   ARGV[2] window, us   ARGV[3] cost   ARGV[4] end of the window after the charge's, us
     Returns 1 when given back, else 0. Clock: the server's. ]]
local key, marker = KEYS[1], KEYS[2]
local window, cost, chargedEnd = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.pcall('HMGET', key, 'start', 'current', 'previous')
if stored.err and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local function whole(text) local n = tonumber(text) return n and n >= 0 and n % 1 == 0 and n end -- infinity % 1 is "nan"
local since, current, previous = whole(stored[1]), whole(stored[2]), whole(stored[3])
if not (since and current and previous) or chargedEnd <= now or now < since then return 0 end
local age = since + 2 * window - chargedEnd -- 0: charged in the window of `current`; one window: in that of `previous`
if age ~= 0 and age ~= window then return 0 end
if not redis.call('SET', marker, 1, 'NX', 'PX', math.ceil((chargedEnd - now) / 1000)) then return 0 end

local field, units = 'current', current
if age == window then field, units = 'previous', previous end
redis.call('HSET', key, field, math.max(0, units - cost))
return 1
