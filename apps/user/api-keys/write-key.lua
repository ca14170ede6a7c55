#!lua flags=allow-oom
--[[ Write the state of one API key, unless a newer one is there or the state may be outdated.
     KEYS[1] the key's hash, of any type and content: what is no hash with a version, or would not expire in time, is replaced
     ARGV[1] version   ARGV[2] when its row was read, by this clock, ms   ARGV[3] longest time from reading to writing, ms
     ARGV[4] lifetime, ms   ARGV[5] when the key expires, ms; '' for never   ARGV[6...] fields and values; none for a revoked key
     Returns the version that is there now, or -1 when the reading is too old: read the row again. Clock: the server's.
     A revoked or expired key leaves its version behind (a tombstone), so that an older state that arrives late is refused.
     ARGV[3] is far below ARGV[4]: no state is so late that the tombstone is gone. allow-oom: a full server must still revoke. ]]
local key = KEYS[1]
local version, readAtMs, latestMs = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lifetimeMs, expiresAtMs = tonumber(ARGV[4]), tonumber(ARGV[5])

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
if nowMs - readAtMs > latestMs then return -1 end

local stored = redis.pcall('HGET', key, 'version')
if type(stored) == 'table' and not string.find(stored.err, 'WRONGTYPE', 1, true) then return stored end
local storedVersion = type(stored) == 'string' and tonumber(stored) or 0
-- Nothing written here has a fraction (infinity % 1 is "nan") or lives longer; twice: this clock may be behind the writer's (failover).
local ttlMs = redis.call('PTTL', key)
local isWritten = storedVersion % 1 == 0 and ttlMs >= 0 and ttlMs <= 2 * lifetimeMs
if isWritten and storedVersion > version then return storedVersion end

local isLive = #ARGV > 5 and not (expiresAtMs and expiresAtMs <= nowMs)
local untilMs = nowMs + lifetimeMs
if isLive and expiresAtMs then untilMs = math.min(untilMs, expiresAtMs) end
redis.call('DEL', key)
redis.call('HSET', key, 'version', ARGV[1], unpack(isLive and ARGV or {}, 6))
redis.call('PEXPIREAT', key, untilMs)
return version
