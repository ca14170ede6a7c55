#!lua flags=allow-oom
--[[ Take the units of one charge out of the log. Once without a marker: they are found by the id of the charge.
     KEYS[1] sorted set: see sliding-window-log.lua
     ARGV[1] units per period   ARGV[2] period, us   ARGV[3] cost   ARGV[4] when the charge is a period old, us
     ARGV[5] id of the charge
     Returns 1 when given back, else 0. Clock: the server's. ]]
local key, limit, cost, chargedEnd, charge = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if chargedEnd <= now then return 0 end
local removed = 0
for n = 1, math.min(cost, limit) do
  local reply = redis.pcall('ZREM', key, charge .. ':' .. n)
  if type(reply) == 'table' then return string.find(reply.err, 'WRONGTYPE', 1, true) and 0 or reply end
  removed = removed + reply
end
return removed > 0 and 1 or 0
