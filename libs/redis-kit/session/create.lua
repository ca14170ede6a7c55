--[[ Begin a session, unless the user's sessions were revoked since the caller last looked.
     KEYS[1] session, hash   KEYS[2] the user's sessions, zset   KEYS[3] the user's epoch
     ARGV[1] idleMs   ARGV[2] absoluteMs   ARGV[3] longestMs, how long the user's keys outlive their last use
     ARGV[4] epoch that the caller saw, '' if it did not look   ARGV[5] handle   ARGV[6...] hash field, value, ...
     Returns {createdAtMs, expiresAtMs, count of the user's sessions}, or nothing when refused. Clock: the server's. ]]
local session, index, epochKey = KEYS[1], KEYS[2], KEYS[3]
local idleMs, absoluteMs, longestMs = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local seenEpoch, handle = ARGV[4], ARGV[5]

local epoch = redis.call('GET', epochKey) or '0'
if seenEpoch ~= '' and seenEpoch ~= epoch then return {} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline, expiresAt = now + absoluteMs, now + math.min(idleMs, absoluteMs)

redis.call('HSET', session, 'iat', now, 'idle', idleMs, 'abs', deadline, 'ep', epoch, 'gen', 1, unpack(ARGV, 6))
redis.call('PEXPIREAT', session, expiresAt)
redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
redis.call('ZADD', index, deadline, handle)
redis.call('PEXPIRE', index, longestMs)
redis.call('PEXPIRE', epochKey, longestMs) -- an epoch outlives every session that carries it
return { now, expiresAt, redis.call('ZCARD', index) }
