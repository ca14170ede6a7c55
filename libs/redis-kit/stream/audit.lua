--[[ What is on the stream, of what its owner believes to be there.
     KEYS[1] stream   KEYS[2] note of the oldest entry
     ARGV[1] oldest entry up to which the caller has made good what was dropped, or ''   ARGV[2] life of the note, ms
     ARGV[3...] ids
     Returns {now, ms, noted oldest id, oldest id, newest id, newest deleted id, {ids that are not there}}; '' for none.
     Clock: the server's. ]]
local stream, note = KEYS[1], KEYS[2]
local madeGood, noteMs = ARGV[1], ARGV[2]
local time, missing = redis.call('TIME'), {}
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local oldest, newest, deleted = '', '', ''
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'first-entry' and info[i + 1] then oldest = info[i + 1][1] end
    if info[i] == 'last-entry' and info[i + 1] then newest = info[i + 1][1] end
    if info[i] == 'max-deleted-entry-id' and info[i + 1] ~= '0-0' then deleted = info[i + 1] end
  end
end
if madeGood ~= '' and madeGood == oldest then redis.call('SET', note, madeGood, 'PX', noteMs) end
for i = 3, #ARGV do
  if #redis.call('XRANGE', stream, ARGV[i], ARGV[i]) == 0 then missing[#missing + 1] = ARGV[i] end
end
return {now, redis.call('GET', note) or '', oldest, newest, deleted, missing}
