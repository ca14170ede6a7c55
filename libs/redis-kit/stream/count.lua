--[[ Count messages as handed out, if they are still ours: their handlers get them once this is answered.
     KEYS[1] stream
     ARGV[1] group   ARGV[2] consumer   ARGV[3...] for each message: id, how often it will have been handed out
     Returns the ids that are still ours. Sets the counts and adds nothing: it may be repeated. ]]
local stream = KEYS[1]
local group, consumer = ARGV[1], ARGV[2]
local ours, byCount = {}, {}

for i = 3, #ARGV, 2 do
  local id, count = ARGV[i], ARGV[i + 1]
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if pending and pending[2] == consumer then
    ours[#ours + 1] = id
    byCount[count] = byCount[count] or {}
    table.insert(byCount[count], id)
  end
end
for count, ids in pairs(byCount) do
  ids[#ids + 1], ids[#ids + 2], ids[#ids + 3] = 'RETRYCOUNT', count, 'JUSTID'
  redis.call('XCLAIM', stream, group, consumer, 0, unpack(ids))
end
return ours
