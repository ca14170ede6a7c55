--[[ Hand out the next message of a partition in strict order: the oldest unfinished one, else one new one.
     Only the holder of the lease gets any, so a consumer that was paused past its lease cannot mix in.
     KEYS[1] stream   KEYS[2] retry set   KEYS[3] lease
     ARGV[1] group    ARGV[2] consumer
     Counts nothing as handed out: that is count.lua's, once this answer has arrived.
     Returns {state, afterId, waitMs, lostCount, {{id, fields, handOutCount}}, {id, eventId, key, type, body}}; the last is
     an event that was never fetched before. State is 'not-owner' · 'wait' (the oldest is to be retried in waitMs) · 'empty'
     (listen after afterId) · 'entries'. Clock: the server's. ]]
local stream, retry, lease = KEYS[1], KEYS[2], KEYS[3]
local group, consumer = ARGV[1], ARGV[2]
if redis.call('GET', lease) ~= consumer then return {'not-owner', '', 0, 0, {}} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lost = 0
while lost < 1000 do
  local oldest = redis.call('XPENDING', stream, group, '-', '+', 1)[1]
  if not oldest then break end
  local id, handOuts = oldest[1], oldest[4]
  local due = tonumber(redis.call('ZSCORE', retry, id) or 0)
  if due > now then return {'wait', '', due - now, lost, {}} end
  redis.call('ZREM', retry, id)
  local entry = redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', handOuts)[1]
  if entry then return {'entries', '', 0, lost, {{entry[1], entry[2], handOuts}}} end
  lost = lost + 1 -- its entry is trimmed or deleted: XCLAIM has just taken it off the list of the pending
end

local fresh = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'NOACK', 'STREAMS', stream, '>')
if fresh then
  local id, f = fresh[1][2][1][1], fresh[1][2][1][2]
  redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', 0, 'FORCE', 'JUSTID') -- XREADGROUP would count
  local isEvent = #f == 8 and f[1] == 'id' and f[3] == 'key' and f[5] == 'type' and f[7] == 'body'
  if isEvent then return {'entries', '', 0, lost, {}, {id, f[2], f[4], f[6], f[8]}} end
  return {'entries', '', 0, lost, {{id, f, 0}}}
end
local info = redis.call('XINFO', 'STREAM', stream)
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return {'empty', info[i + 1], 0, lost, {}} end
end
