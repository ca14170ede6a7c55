#!lua flags=allow-oom
--[[ Give the units of one charge back, once, while its window lasts.
     KEYS[1] `<start of a window, us since 1970>:<units in it>`   KEYS[2] marker: this charge was given back
     ARGV[1] units per window   ARGV[2] window, us   ARGV[3] cost   ARGV[4] end of the charge's window, us
     Returns 1 when given back, else 0. Clock: the server's. ]]
local key, marker = KEYS[1], KEYS[2]
local window, cost, chargedEnd = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.pcall('GET', key)
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local start, units = string.match(type(stored) == 'string' and stored or '', '^(%d+):(%d+)$')
local leftMs = math.ceil((chargedEnd - now) / 1000)
if not start or start + window ~= chargedEnd or now < start + 0 or leftMs <= 0 then return 0 end
if not redis.call('SET', marker, 1, 'NX', 'PX', leftMs) then return 0 end

if units - cost <= 0 then
  redis.call('DEL', key)
else
  redis.call('SET', key, string.format('%.0f:%.0f', start, units - cost), 'PX', leftMs)
end
return 1
