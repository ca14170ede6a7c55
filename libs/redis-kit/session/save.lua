--[[ Change some fields of a session, if it is still there: what was destroyed stays destroyed.
     KEYS[1] session, hash   KEYS[2] the user's epoch
     ARGV[1] n, how many arguments are set   ARGV[2...] n of field, value, ...; then fields to remove
     Returns 1, or 0 when there is no such session. Clock: the server's. ]]
local session, epochKey = KEYS[1], KEYS[2]
local setCount = tonumber(ARGV[1])

local meta = redis.call('HMGET', session, 'ep', 'abs', 'idle', 'gen')
local function whole(text) return text and #text < 16 and string.find(text, '^%d+$') and tonumber(text) end
local epoch, deadline, idleMs = meta[1], whole(meta[2]), whole(meta[3])
if not epoch or not (deadline and idleMs and whole(meta[4])) or epoch ~= (redis.call('GET', epochKey) or '0') then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if setCount > 0 then redis.call('HSET', session, unpack(ARGV, 2, 1 + setCount)) end
if #ARGV > 1 + setCount then redis.call('HDEL', session, unpack(ARGV, 2 + setCount)) end
redis.call('HINCRBY', session, 'gen', 1)
redis.call('PEXPIREAT', session, math.min(now + idleMs, deadline)) -- in the past: the key is deleted
return 1
