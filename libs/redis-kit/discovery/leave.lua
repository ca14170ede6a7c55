--[[ An instance says goodbye, unless a newer incarnation of it has taken the id: a late SIGTERM must not remove the successor.
     KEYS[1] expiry   KEYS[2] records   KEYS[3] rev, as in beat.lua
     ARGV[1] id   ARGV[2] incarnation   ARGV[3] keep, ms, as in beat.lua   ARGV[4] channel of hints
     Returns 1 if it was there and is gone now, else 0. Clock: the server's, for a rev that was lost. ]]
local expiry, records, rev = KEYS[1], KEYS[2], KEYS[3]
local id, incarnation, keepMs, channel = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

-- What no beat has written counts as lost.
local function whole(text) return text and #text < 17 and string.find(text, '^%d+$') and tonumber(text) < 2^53 and tonumber(text) end
local stored = redis.call('HGET', records, id)
if not stored or (whole(string.match(stored, '^%d+')) or 0) > incarnation then return 0 end

redis.call('ZREM', expiry, id)
redis.call('HDEL', records, id)
local time = redis.call('TIME')
if not whole(redis.call('GET', rev)) then redis.call('SET', rev, string.format('%.0f', time[1] * 1000000 + time[2])) end
local change = string.format('%.0f', redis.call('INCR', rev))
redis.call('PEXPIRE', rev, keepMs)
redis.call('PUBLISH', channel, change .. ' left ' .. id)
return 1
