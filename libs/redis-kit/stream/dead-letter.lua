--[[ Give a message up, if it is still ours: copy it with its history to the dead letters and finish it, in one step.
     KEYS[1] stream   KEYS[2] retry set   KEYS[3] dead letters
     ARGV[1] group    ARGV[2] consumer    ARGV[3] id   ARGV[4] reason   ARGV[5] deliveries   ARGV[6] stack trace, or ''
     ARGV[7] dead letters kept
     Returns {the letter's id, droppedCount}, or {'', 0} if the message is another's or already finished.
     A letter is: group, origin, reason, attempts, trace, then the fields of the original as they were. ]]
local stream, retry, dead = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, id, reason, attempts, trace, kept = unpack(ARGV)

local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending or pending[2] ~= consumer then return {'', 0} end
local letter = {'group', group, 'origin', id, 'reason', reason, 'attempts', attempts, 'trace', trace}
local entry = redis.call('XRANGE', stream, id, id)[1]
for _, field in ipairs(entry and entry[2] or {}) do letter[#letter + 1] = field end

local letterId = redis.call('XADD', dead, '*', unpack(letter))
local dropped = redis.call('XTRIM', dead, 'MAXLEN', '~', kept)
redis.call('ZREM', retry, id)
redis.call('XACK', stream, group, id)
return {letterId, dropped}
