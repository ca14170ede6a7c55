--[[ Append events, each once: the same event id again within the window appends nothing.
     KEYS[1] stream   KEYS[2...] marker of each event id
     ARGV[1] how long a marker lives, ms   ARGV[2] fuse: entries at which the oldest are dropped
     ARGV[3...] of each event: id, key, type, body
     Returns {droppedCount, newest id before, stream id of each event}. Clock: the server's (stream ids). ]]
local stream = KEYS[1]
local windowMs, fuse = ARGV[1], ARGV[2]
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local reply = {0, newest and newest[1] or ''}

for i = 2, #KEYS do
  local marker, at = KEYS[i], 4 * i - 5
  local id = redis.call('GET', marker)
  if not id then
    local eventId, key, type, body = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    id = redis.call('XADD', stream, '*', 'id', eventId, 'key', key, 'type', type, 'body', body)
    redis.call('SET', marker, id, 'PX', windowMs)
  end
  reply[i + 1] = id
end
-- Apart from XADD, for only XTRIM says how much it dropped: a fuse that burns in silence is a loss nobody sees.
reply[1] = redis.call('XTRIM', stream, 'MAXLEN', '~', fuse)
return reply
