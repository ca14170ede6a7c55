--[[ Append one event, once: the same event id again within the window appends nothing.
     KEYS[1] stream   KEYS[2] marker of this event id
     ARGV[1] event id   ARGV[2] key   ARGV[3] type   ARGV[4] body
     ARGV[5] how long the marker lives, ms   ARGV[6] fuse: entries at which the oldest are dropped
     Returns {stream id, isNew, droppedCount}. Clock: the server's (stream ids). ]]
local stream, marker = KEYS[1], KEYS[2]
local eventId, key, type, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local windowMs, fuse = ARGV[5], ARGV[6]

local known = redis.call('GET', marker)
if known then return {known, 0, 0} end

local id = redis.call('XADD', stream, '*', 'id', eventId, 'key', key, 'type', type, 'body', body)
redis.call('SET', marker, id, 'PX', windowMs)
-- Apart from XADD, for only XTRIM says how much it dropped: a fuse that burns in silence is a loss nobody sees.
local dropped = redis.call('XTRIM', stream, 'MAXLEN', '~', fuse)
return {id, 1, dropped}
