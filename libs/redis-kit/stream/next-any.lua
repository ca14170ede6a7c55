--[[ Fetch up to `count` messages in any order: those whose retry is due, then new ones. count.lua counts them as handed out.
     KEYS[1] stream   KEYS[2] retry set
     ARGV[1] group    ARGV[2] consumer   ARGV[3] count
     Returns {state, afterId, waitMs, lostCount, {{id, fields, handOutCount}}, {id, eventId, key, type, body, id, ...}}; the last
     are events that were never fetched before, as one plain list because that is half the work to read. State is 'entries', or
     'empty': listen after afterId, for waitMs at most if that is not 0 (the next retry is due then). Clock: the server's. ]]
local stream, retry = KEYS[1], KEYS[2]
local group, consumer, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entries, events, lost = {}, {}, 0

for _, id in ipairs(redis.call('ZRANGE', retry, '-inf', now, 'BYSCORE', 'LIMIT', 0, count)) do
  redis.call('ZREM', retry, id)
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  local entry = pending and redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', pending[4])[1]
  if entry then entries[#entries + 1] = {id, entry[2], pending[4]} end
  if pending and not entry then lost = lost + 1 end
end
if #entries < count then
  local new, fresh = {}, redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count - #entries, 'NOACK', 'STREAMS', stream, '>')
  for _, entry in ipairs(fresh and fresh[1][2] or {}) do
    local id, fields, n = entry[1], entry[2], #events
    new[#new + 1] = id
    if #fields == 8 and fields[1] == 'id' and fields[3] == 'key' and fields[5] == 'type' and fields[7] == 'body' then
      events[n + 1], events[n + 2], events[n + 3], events[n + 4], events[n + 5] = id, fields[2], fields[4], fields[6], fields[8]
    else
      entries[#entries + 1] = {id, fields, 0}
    end
  end
  for at = 1, #new, 1000 do -- pending by FORCE and not by XREADGROUP, which would count; Lua's stack has no room for 8000
    local ids = {unpack(new, at, math.min(at + 999, #new))}
    for _, option in ipairs({'RETRYCOUNT', 0, 'FORCE', 'JUSTID'}) do ids[#ids + 1] = option end
    redis.call('XCLAIM', stream, group, consumer, 0, unpack(ids))
  end
end
if #entries + #events > 0 then return {'entries', '', 0, lost, entries, events} end

local due, info = redis.call('ZRANGE', retry, 0, 0, 'WITHSCORES')[2], redis.call('XINFO', 'STREAM', stream)
for i = 1, #info, 2 do
  local wait = due and math.max(1, due - now) or 0
  if info[i] == 'last-generated-id' then return {'empty', info[i + 1], wait, lost, {}, {}} end
end
