--[[ Append events, each once: the same event id again within the window appends nothing, as long as its entry is there.
     KEYS[1] stream   KEYS[2] note of the oldest entry   KEYS[3...] marks: a hash for the events of a few milliseconds
     ARGV[1] an entry that must be there, or ''   ARGV[2] how long marks live, ms   ARGV[3] and the note, ms
     ARGV[4] fuse: entries at which the oldest are dropped   ARGV[5...] of each hash: its time, ms
     then of each event: number of its hash, mark, id, key, type, body
     Returns {droppedCount, stream id of each event}; {-1} and appends nothing if ARGV[1] is not there. ]]
local stream, note = KEYS[1], KEYS[2]
local reached, marksMs, noteMs, fuse, hashes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], #KEYS - 2
if reached ~= '' and #redis.call('XRANGE', stream, reached, reached) == 0 then return {-1} end
local names, known, added, fresh, reply = {}, {}, {}, {}, {0}
for h = 1, hashes do names[h], added[h] = {}, {} end
for at = 5 + hashes, #ARGV, 6 do table.insert(names[tonumber(ARGV[at])], ARGV[at + 1]) end
for h = 1, hashes do known[h] = redis.call('HMGET', KEYS[h + 2], unpack(names[h])) end
for at = 5 + hashes, #ARGV, 6 do
  local h, name, eventId, key, type, body = unpack(ARGV, at, at + 5)
  h = tonumber(h)
  local base, mark = ARGV[4 + h], table.remove(known[h], 1)
  -- A mark is the stream id, as one small number where that is possible: 6 bytes instead of 17.
  local packed = tonumber(mark)
  if packed then mark = string.format('%.0f-%.0f', base + math.floor(packed / 1024), packed % 1024) end
  local id = fresh[eventId] or mark
  local entry = id and redis.call('XRANGE', stream, id, id)[1]
  if not entry or entry[2][2] ~= eventId then
    id = redis.call('XADD', stream, '*', 'id', eventId, 'key', key, 'type', type, 'body', body)
    local ms, number = id:match('(%d+)-(%d+)')
    local sinceMs = ms - base
    local isSmall = sinceMs >= 0 and sinceMs < 2097152 and tonumber(number) < 1024
    fresh[eventId] = id
    table.insert(added[h], name)
    table.insert(added[h], isSmall and sinceMs * 1024 + number or id)
  end
  table.insert(reply, id)
end
for h = 1, hashes do
  if #added[h] > 0 then redis.call('HSET', KEYS[h + 2], unpack(added[h])) end
  redis.call('PEXPIRE', KEYS[h + 2], marksMs)
end
reply[1] = redis.call('XTRIM', stream, 'MAXLEN', '~', fuse) -- not within XADD, which does not say how much it dropped
if reply[1] > 0 then redis.call('SET', note, redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1], 'PX', noteMs) end
return reply
