--[[ Append events, each once: the same event id again within the window appends nothing, as long as its entry is there.
     KEYS[1] stream   KEYS[2] note of the oldest entry   KEYS[3...] notes of what was appended (marks.ts)
     ARGV[1] an entry that must be there, or ''   ARGV[2] how long notes live, ms   ARGV[3] and that of the oldest entry, ms
     ARGV[4] fuse: entries at which the oldest are dropped   ARGV[5...] for each of KEYS[3...]: the marks of its events
     then of each event, no two of the same id: number of its key, '' if that of the one before; mark, id, key, type, body
     Returns {droppedCount, the events' stream ids as one text}; {-1} and appends nothing if ARGV[1] is not there. ]]
local stream, oldest = KEYS[1], KEYS[2]
local reached, notesMs, oldestMs, fuse = unpack(ARGV, 1, 4)
if reached ~= '' and #redis.call('XRANGE', stream, reached, reached) == 0 then return {-1} end
local notes, found, ids = {}, {}, {}
for k = 3, #KEYS do notes[k] = redis.call('GET', KEYS[k]) or '' end

-- A note is '<first stream id, number of entries>' and the marks of these. An entry counts if it is there and of this event.
local function find(eventId, mark, note)
  local at = string.find(note, mark, 1, true)
  while at and not found[eventId] do
    local first, count = string.match(string.sub(note, 1, at), '.*<(%d+%-%d+),(%d+)>')
    local entries = first and redis.call('XRANGE', stream, first, '+', 'COUNT', count) or {}
    for _, entry in ipairs(entries) do found[entry[2][2]] = entry[1] end
    at = string.find(note, mark, at + 1, true)
  end
  return found[eventId]
end

local k, first, count = nil, nil, 0
for at = 3 + #KEYS, #ARGV, 6 do
  local number, mark, eventId, key, type, body = unpack(ARGV, at, at + 5)
  if number ~= '' then k = tonumber(number) end
  local id = find(eventId, mark, notes[k])
  if not id then
    id = redis.call('XADD', stream, '*', 'id', eventId, 'key', key, 'type', type, 'body', body)
    first, count = first or id, count + 1
  end
  ids[#ids + 1] = id
end
local head = first and '<' .. first .. ',' .. count .. '>'
for k = 3, #KEYS do redis.call('SET', KEYS[k], notes[k] .. (head and head .. ARGV[k + 2] or ''), 'PX', notesMs) end
local dropped = redis.call('XTRIM', stream, 'MAXLEN', '~', fuse) -- not within XADD, which does not say how much it dropped
if dropped > 0 then redis.call('SET', oldest, redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1], 'PX', oldestMs) end
return {dropped, table.concat(ids, ' ')}
