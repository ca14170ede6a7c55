#!lua flags=allow-oom
--[[ Give a slot back, if it is the last one and has not begun.
     KEYS[1] when the next slot is free, us since 1970   ARGV[1] how long the slot lasts, us   ARGV[2] when it ends, us
     Returns 1 when given back, else 0: a later slot is reserved, and a queue does not move up. Clock: the server's. ]]
local key = KEYS[1]
local length, ends = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.pcall('GET', key)
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local begins = ends - length
if stored ~= string.format('%.0f', ends) or begins <= now then return 0 end
redis.call('SET', key, string.format('%.0f', begins), 'PX', math.ceil((begins - now) / 1000))
return 1
