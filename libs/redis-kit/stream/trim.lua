--[[ Drop what every group has finished, and nothing that any of them still needs: not what is pending, not what is unread.
     KEYS[1] stream   KEYS[2] note of the oldest entry: should it not fit, others have dropped some, and it stays as evidence
     ARGV[1] youngest age that may be dropped, ms   ARGV[2] how many at most in this call   ARGV[3] life of the note, ms
     Returns {droppedCount, the first id that had to stay, or ''}. No group yet: nothing is dropped. Clock: the server's. ]]
local stream, note = KEYS[1], KEYS[2]
local retainMs, limit, noteMs = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
if redis.call('EXISTS', stream) == 0 then return {0, ''} end

-- Ids are two unsigned 64 bit numbers, too wide for Lua's: with leading zeros they sort as text.
local function sortable(id)
  local ms, number = id:match('(%d+)-(%d+)')
  return ('0'):rep(20 - #ms) .. ms .. ('0'):rep(20 - #number) .. number
end
local function oldest()
  local entry = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  return entry and entry[1]
end

local needed
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local fields = {}
  for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
  local pending = redis.call('XPENDING', stream, fields.name)
  local first = pending[1] > 0 and pending[2] or fields['last-delivered-id']
  if not needed or sortable(first) < sortable(needed) then needed = first end
end
if not needed then return {0, ''} end

local time, noted = redis.call('TIME'), redis.call('GET', note)
local isAsNoted = not noted or noted == oldest()
local horizon = string.format('%.0f-0', time[1] * 1000 + math.floor(time[2] / 1000) - retainMs)
if sortable(horizon) < sortable(needed) then needed = horizon end
-- Whole nodes first, bounded; what then remains to drop is less than one node.
local dropped = redis.call('XTRIM', stream, 'MINID', '~', needed, 'LIMIT', limit)
if dropped < limit then dropped = dropped + redis.call('XTRIM', stream, 'MINID', needed) end
if isAsNoted then redis.call('SET', note, oldest() or needed, 'PX', noteMs) end
return {dropped, needed}
