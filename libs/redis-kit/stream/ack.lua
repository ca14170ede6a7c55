--[[ Finish messages that are still ours: plain XACK takes them from whoever has them now.
     KEYS[1] stream
     ARGV[1] group   ARGV[2] consumer   ARGV[3...] ids
     Returns for each id 1 if it was ours and is finished now, 0 if it is another's, -1 if nobody has it: finished before. ]]
local stream = KEYS[1]
local group, consumer = ARGV[1], ARGV[2]
local reply = {}

for i = 3, #ARGV do
  local id = ARGV[i]
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if not pending then
    reply[i - 2] = -1
  elseif pending[2] ~= consumer then
    reply[i - 2] = 0
  else
    reply[i - 2] = redis.call('XACK', stream, group, id)
  end
end
return reply
