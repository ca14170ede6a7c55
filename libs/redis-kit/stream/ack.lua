--[[ Finish messages that are still ours: plain XACK takes them from whoever has them now.
     KEYS[1] stream
     ARGV[1] group   ARGV[2] consumer   ARGV[3] begin of the ids, or what is later: costs time, no more   ARGV[4...] ids
     Returns for each id 1 if it was ours and is finished now, 0 if it is another's, -1 if nobody has it: finished before. ]]
local stream = KEYS[1]
local group, consumer, from = ARGV[1], ARGV[2], ARGV[3]
local holders, finished, reply = {}, {}, {}

-- One look at what is ours instead of one for each. There may be more than it shows: messages that wait for their retry.
for _, pending in ipairs(redis.call('XPENDING', stream, group, from, '+', 2 * #ARGV, consumer)) do
  holders[pending[1]] = consumer
end
for i = 4, #ARGV do
  local id = ARGV[i]
  if holders[id] == nil then
    local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
    holders[id] = pending and pending[2] or false
  end
  local holder = holders[id]
  reply[i - 3] = holder == consumer and 1 or holder and 0 or -1
  if holder == consumer then
    finished[#finished + 1] = id
    holders[id] = false
  end
end
if #finished > 0 then redis.call('XACK', stream, group, unpack(finished)) end
return reply
