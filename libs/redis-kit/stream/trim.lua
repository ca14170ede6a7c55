--[[ Drop what every group has finished, and nothing that any of them still needs: not what is pending, not what is unread.
     KEYS[1] stream
     ARGV[1] youngest age that may be dropped, ms   ARGV[2] how many at most in this call
     Returns {droppedCount, the first id that had to stay, or ''}. No group yet: nothing is dropped. Clock: the server's. ]]
local stream = KEYS[1]
local retainMs, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('EXISTS', stream) == 0 then return {0, ''} end

-- Ids are two unsigned 64 bit numbers, too wide for Lua's: compared as digits, the longer is the larger.
local function isOlder(a, b)
  local aMs, aSeq = a:match('(%d+)-(%d+)')
  local bMs, bSeq = b:match('(%d+)-(%d+)')
  if aMs == bMs then aMs, bMs = aSeq, bSeq end
  if #aMs ~= #bMs then return #aMs < #bMs end
  return aMs < bMs
end

local needed
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local fields = {}
  for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
  local pending = redis.call('XPENDING', stream, fields.name)
  local oldest = pending[1] > 0 and pending[2] or fields['last-delivered-id']
  if not needed or isOlder(oldest, needed) then needed = oldest end
end
if not needed then return {0, ''} end

local time = redis.call('TIME')
local horizon = string.format('%.0f-0', time[1] * 1000 + math.floor(time[2] / 1000) - retainMs)
if isOlder(horizon, needed) then needed = horizon end
-- Whole nodes first, bounded; what then remains to drop is less than one node.
local dropped = redis.call('XTRIM', stream, 'MINID', '~', needed, 'LIMIT', limit)
if dropped < limit then dropped = dropped + redis.call('XTRIM', stream, 'MINID', needed) end
return {dropped, needed}
