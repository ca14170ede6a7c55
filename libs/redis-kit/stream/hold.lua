--[[ Say that these messages are still being worked on. Owner-checked: a bare XCLAIM would steal back what was taken over.
     KEYS[1] stream
     ARGV[1] group   ARGV[2] consumer   ARGV[3...] ids
     Returns the ids that are no longer ours. JUSTID: the delivery counts stay. ]]
local stream = KEYS[1]
local group, consumer = ARGV[1], ARGV[2]
local lost = {}

for i = 3, #ARGV do
  local id = ARGV[i]
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if pending and pending[2] == consumer then
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
  else
    lost[#lost + 1] = id
  end
end
return lost
