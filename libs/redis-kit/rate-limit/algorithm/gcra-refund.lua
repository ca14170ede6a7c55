#!lua flags=allow-oom
--[[ Give one charge back, once, unless it may have drained by itself in the meantime.
     KEYS[1] theoretical arrival time (TAT), us since 1970   KEYS[2] marker: this charge was given back
     ARGV[1] emission interval, us   ARGV[2] tolerance, us   ARGV[3] cost   ARGV[4] the TAT that the charge left behind, us
     Returns 1 when given back, else 0. Clock: the server's.
     Until that TAT the bucket has never been full, so taking the charge out again is exact. After it the bucket may
     have been full, which forgives the charge: a refund on top would admit more than the limit. ]]
local key, marker = KEYS[1], KEYS[2]
local tolerance, charge, chargedTat = tonumber(ARGV[2]), ARGV[1] * ARGV[3], tonumber(ARGV[4])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.pcall('GET', key)
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local isTat = type(stored) == 'string' and string.find(stored, '^%d+$')
-- Not ahead: the bucket is full. Further ahead than a burst: the next check cuts it, and forgives what lies beyond.
if not isTat or chargedTat <= now or chargedTat > now + tolerance then return 0 end
if stored + 0 <= now or stored + 0 > now + tolerance then return 0 end
if not redis.call('SET', marker, 1, 'NX', 'PX', math.ceil((chargedTat - now) / 1000)) then return 0 end

local tat = stored - charge
if tat <= now then
  redis.call('DEL', key)
else
  redis.call('SET', key, string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
end
return 1
