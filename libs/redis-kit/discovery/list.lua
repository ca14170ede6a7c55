--[[ The living instances of a service, or nothing new.
     KEYS[1] expiry   KEYS[2] records   KEYS[3] rev, as in beat.lua
     ARGV[1] the rev that the caller knows, or -1   ARGV[2] limit
     Returns {rev, nowMs, changed 0|1, value of records…}; rev 0 = the registry knows nothing of this service. Clock: the server's.
     Unchanged costs O(log n): same rev, and nobody expired whom no beat has removed yet. Changes nothing. ]]
local expiry, records, rev = KEYS[1], KEYS[2], tonumber(redis.call('GET', KEYS[3]) or 0)
local knownRev, limit = tonumber(ARGV[1]), ARGV[2]
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local now = string.format('%.0f', nowMs)

if rev == knownRev and redis.call('ZCOUNT', expiry, '-inf', now) == 0 then return { rev, nowMs, 0 } end

local reply = { rev, nowMs, 1 }
local ids = redis.call('ZRANGEBYSCORE', expiry, '(' .. now, '+inf', 'LIMIT', 0, limit)
if #ids == 0 then return reply end
for _, value in ipairs(redis.call('HMGET', records, unpack(ids))) do
  reply[#reply + 1] = value or ''
end
return reply
