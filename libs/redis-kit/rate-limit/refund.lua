#!lua flags=allow-oom
--[[ Give one charge back, unless it may have drained by itself in the meantime.
     KEYS[1] theoretical arrival time (TAT), us since 1970
     ARGV[1] charge, us   ARGV[2] the TAT that the charge left behind, us
     Returns 1 when given back, else 0. Clock: the server's.
     Until that TAT the bucket has never been empty, so taking the charge out again is exact. After it the bucket may
     have run empty, which forgives the charge: a refund on top would admit more than the limit. ]]
local key = KEYS[1]
local charge, chargedTat = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.pcall('GET', key)
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local isTat = type(stored) == 'string' and string.find(stored, '^%d+$')
if not isTat or chargedTat <= now then return 0 end

local tat = tonumber(stored) - charge
if tat > chargedTat + 86400000000 then return 0 end -- not a TAT of this limit: the next check repairs it
if tat <= now then
  redis.call('DEL', key)
else
  redis.call('SET', key, string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
end
return 1
