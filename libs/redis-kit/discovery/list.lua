--[[ The instances of a service, or nothing new.
     KEYS[1] expiry   KEYS[2] records   KEYS[3] rev, as in beat.lua
     ARGV[1] the rev that the caller knows, or -1   ARGV[2] limit   ARGV[3] limit of the overdue
     Returns {rev, nowMs, changed 0|1, count of the living, values of the living…, values of the overdue, newest first…}.
     rev 0: the registry knows nothing of this service. Overdue: the last beat has run out, and no later beat of another has
     removed the record. Clock: the server's. Changes nothing. Without a change and without overdue records it costs O(log n). ]]
local expiry, records, rev = KEYS[1], KEYS[2], redis.call('GET', KEYS[3])
rev = rev and #rev < 17 and string.find(rev, '^%d+$') and tonumber(rev) or 0
local knownRev, limit, overdueLimit = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local now = string.format('%.0f', nowMs)

local overdue = redis.call('ZREVRANGEBYSCORE', expiry, now, '-inf', 'LIMIT', 0, overdueLimit)
if rev == knownRev and #overdue == 0 then return { rev, nowMs, 0, 0 } end

local living = redis.call('ZRANGEBYSCORE', expiry, '(' .. now, '+inf', 'LIMIT', 0, limit)
local reply = { rev, nowMs, 1, #living }
local function append(ids)
  if #ids == 0 then return end
  for _, value in ipairs(redis.call('HMGET', records, unpack(ids))) do
    reply[#reply + 1] = value or ''
  end
end
append(living)
append(overdue)
return reply
