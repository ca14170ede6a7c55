--[[ Finish a message, if it is still ours: plain XACK takes it from whoever has it now.
     KEYS[1] stream   KEYS[2] retry set
     ARGV[1] group    ARGV[2] consumer   ARGV[3] id
     Returns 1 if it was ours and is finished now, 0 if it is another's, -1 if nobody has it: it was finished before. ]]
local stream, retry = KEYS[1], KEYS[2]
local group, consumer, id = ARGV[1], ARGV[2], ARGV[3]

local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending then return -1 end
if pending[2] ~= consumer then return 0 end
redis.call('ZREM', retry, id)
return redis.call('XACK', stream, group, id)
