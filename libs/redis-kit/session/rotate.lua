--[[ Give a session a new id. The old one is dead at once; the absolute deadline stays.
     KEYS[1] session by its old handle   KEYS[2] by its new one   KEYS[3] the user's sessions, zset   KEYS[4] epoch
     ARGV[1] gen that the caller read   ARGV[2] old handle   ARGV[3] new handle
     ARGV[4] n   ARGV[5...] n of field, value, ...; then fields to remove
     Returns 1; 0 when there is no such session; -1 when it has changed since it was read. Clock: the server's. ]]
local old, new, index, epochKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local seenGen, oldHandle, newHandle = ARGV[1], ARGV[2], ARGV[3]
local setCount = tonumber(ARGV[4])

local meta = redis.call('HMGET', old, 'ep', 'abs', 'gen', 'idle')
local function whole(text) return text and #text < 16 and string.find(text, '^%d+$') and tonumber(text) end
local epoch, deadline, gen, idleMs = meta[1], whole(meta[2]), meta[3], whole(meta[4])
if not epoch or not (deadline and idleMs and whole(gen)) or epoch ~= (redis.call('GET', epochKey) or '0') then return 0 end
if gen ~= seenGen then return -1 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('RENAME', old, new)
redis.call('ZADD', index, deadline, newHandle) -- before ZREM: an index that runs empty is deleted, and its expiry with it
redis.call('ZREM', index, oldHandle)
if setCount > 0 then redis.call('HSET', new, unpack(ARGV, 5, 4 + setCount)) end
if #ARGV > 4 + setCount then redis.call('HDEL', new, unpack(ARGV, 5 + setCount)) end
redis.call('HINCRBY', new, 'gen', 1)
redis.call('PEXPIREAT', new, math.min(now + idleMs, deadline))
return 1
