--[[ Hand out up to `count` messages in any order: those whose retry is due, then new ones.
     KEYS[1] stream   KEYS[2] retry set
     ARGV[1] group    ARGV[2] consumer   ARGV[3] count
     Returns {state, afterId, waitMs, lostCount, {{id, fields, deliveryCount}}}; state is 'entries', or 'empty': listen after
     afterId, for waitMs at most if that is not 0 (the next retry is due then). Clock: the server's. ]]
local stream, retry = KEYS[1], KEYS[2]
local group, consumer, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entries, lost = {}, 0

for _, id in ipairs(redis.call('ZRANGE', retry, '-inf', now, 'BYSCORE', 'LIMIT', 0, count)) do
  redis.call('ZREM', retry, id)
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  local entry = redis.call('XCLAIM', stream, group, consumer, 0, id)[1]
  if entry then
    entries[#entries + 1] = {entry[1], entry[2], pending[4] + 1}
  elseif pending then
    lost = lost + 1
  end
end
if #entries < count then
  local fresh = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count - #entries, 'STREAMS', stream, '>')
  for _, entry in ipairs(fresh and fresh[1][2] or {}) do
    entries[#entries + 1] = {entry[1], entry[2], 1}
  end
end
if #entries > 0 then return {'entries', '', 0, lost, entries} end

local nextDue = redis.call('ZRANGE', retry, 0, 0, 'WITHSCORES')[2]
local wait = nextDue and math.max(1, nextDue - now) or 0
local info = redis.call('XINFO', 'STREAM', stream)
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return {'empty', info[i + 1], wait, lost, {}} end
end
