--[[ An instance says that it is alive, with everything there is to know about it; up to 16 that have gone silent are removed.
     KEYS[1] expiry: id -> ms   KEYS[2] records: id -> "<incarnation> <json>"   KEYS[3] rev, counts the changes
     ARGV[1] id   ARGV[2] incarnation, 0 for a new one   ARGV[3] record, JSON   ARGV[4] ttl, ms   ARGV[5] channel of hints
     ARGV[6] keep, ms: how long the keys outlive the last beat
     Returns {accepted 0|1, incarnation now stored, rev}. Not accepted: a newer incarnation holds the id. Clock: the server's.
     The whole record travels in every beat: a registry that lost its data is whole again after one. ]]
local expiry, records, rev = KEYS[1], KEYS[2], KEYS[3]
local id, incarnation, record, ttlMs, channel, keepMs = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local time = redis.call('TIME')
local nowUs = time[1] * 1000000 + time[2]
local nowMs = string.format('%.0f', math.floor(nowUs / 1000))

-- What no beat has written counts as lost.
local function whole(text) return text and #text < 17 and string.find(text, '^%d+$') and tonumber(text) < 2^53 and tonumber(text) end
local stored = redis.call('HGET', records, id)
local storedIncarnation = stored and whole(string.match(stored, '^%d+')) or 0
if incarnation == 0 then
  incarnation = math.max(storedIncarnation + 1, nowUs)
elseif incarnation < storedIncarnation then
  return { 0, storedIncarnation, tonumber(redis.call('GET', rev) or 0) }
end

-- Starts at the time, not at 1: after a loss of data it cannot repeat a number that somebody remembers.
if not whole(redis.call('GET', rev)) then redis.call('SET', rev, string.format('%.0f', nowUs)) end
local function tell(what, body)
  local change = string.format('%.0f', redis.call('INCR', rev))
  redis.call('PUBLISH', channel, change .. ' ' .. what .. ' ' .. body)
end

local expiresMs = redis.call('ZSCORE', expiry, id)
local value = string.format('%.0f', incarnation) .. ' ' .. record
redis.call('ZADD', expiry, string.format('%.0f', nowMs + ttlMs), id)
if value ~= stored or not expiresMs or tonumber(expiresMs) <= tonumber(nowMs) then
  redis.call('HSET', records, id, value)
  tell('up', record)
end
redis.call('ZREMRANGEBYSCORE', expiry, string.format('%.0f', nowMs + 86400000), '+inf') -- no beat lasts for a day
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', nowMs, 'LIMIT', 0, 16)) do
  redis.call('ZREM', expiry, gone)
  redis.call('HDEL', records, gone)
  tell('gone', gone)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keepMs) end
return { 1, incarnation, tonumber(redis.call('GET', rev)) }
