--[[ Count messages as handed out, if they are still ours.
     KEYS[1] stream
     ARGV[1] group   ARGV[2] consumer   ARGV[3] least of the ids, or one that is later: costs time, no more
     ARGV[4...] for each message: id, how often it will have been handed out
     Returns the ids that are no longer ours. Sets the counts and adds nothing: it may be repeated. ]]
local stream = KEYS[1]
local group, consumer, from = ARGV[1], ARGV[2], ARGV[3]
local isOurs, lost, byCount = {}, {}, {}

-- One look at what is ours instead of one for each. Messages of one fetch follow each other, unless it brought retries.
for _, pending in ipairs(redis.call('XPENDING', stream, group, from, '+', (#ARGV - 3) / 2, consumer)) do
  isOurs[pending[1]] = true
end
for i = 4, #ARGV, 2 do
  local id, count = ARGV[i], ARGV[i + 1]
  if isOurs[id] or redis.call('XPENDING', stream, group, id, id, 1, consumer)[1] then
    byCount[count] = byCount[count] or {}
    table.insert(byCount[count], id)
  else
    lost[#lost + 1] = id
  end
end
for count, ids in pairs(byCount) do
  for at = 1, #ids, 1000 do -- an XCLAIM of more would not fit on Lua's stack
    local some = {unpack(ids, at, math.min(at + 999, #ids))}
    some[#some + 1], some[#some + 2], some[#some + 3] = 'RETRYCOUNT', count, 'JUSTID'
    redis.call('XCLAIM', stream, group, consumer, 0, unpack(some))
  end
end
return lost
