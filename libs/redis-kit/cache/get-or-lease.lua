--[[ Read a value, or take the lease that entitles one caller among all processes to load it.
     KEYS[1] value   KEYS[2] lease
     ARGV[1] the caller's token   ARGV[2] how long the lease lasts, ms
     ARGV[3] token inside the value that the caller has seen and found unusable (stale, invalidated by a tag), else ''
     Returns {state, nowMs, leftMs, value}
       state 0: here is a value          state 1: load it, the lease is yours
       state 2: another caller loads it; its lease ends in leftMs unless it is done before
     Asking again with the same token gives state 1 again. Clock: the server's. ]]
local value, lease = KEYS[1], KEYS[2]
local token, leaseMs, seen = ARGV[1], ARGV[2], ARGV[3]

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)

local present = redis.pcall('GETRANGE', value, 24, 31) -- where an envelope keeps its token; an error for another type
if type(present) == 'string' and present ~= '' and present ~= seen then
  return { 0, nowMs, 0, redis.call('GET', value) }
end
local holder = redis.pcall('SET', lease, token, 'NX', 'GET', 'PX', leaseMs)
local leftMs = redis.call('PTTL', lease)
if type(holder) == 'table' or leftMs < 0 then -- another type, or no end: not a lease, so it is replaced
  redis.call('SET', lease, token, 'PX', leaseMs)
elseif holder and holder ~= token then
  return { 2, nowMs, leftMs, '' }
end
return { 1, nowMs, 0, '' }
