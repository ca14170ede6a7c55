--[[ Read a session, and put off its idle deadline when little of the idle time remains. Writes only then.
     KEYS[1] session, hash   KEYS[2] the user's epoch
     ARGV[1] idleMs   ARGV[2] touchBelowMs
     Returns {expiresAtMs, field, value, ...}, or nothing when there is no such session (any more).
     Clock: the server's. ]]
local session, epochKey = KEYS[1], KEYS[2]
local idleMs, touchBelowMs = tonumber(ARGV[1]), tonumber(ARGV[2])

local meta = redis.call('HMGET', session, 'ep', 'abs')
local epoch, deadline = meta[1], tonumber(meta[2] or 0)
if not epoch then return {} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if epoch ~= (redis.call('GET', epochKey) or '0') or deadline <= now then
  redis.call('UNLINK', session)
  return {}
end

local expiresAt = redis.call('PEXPIRETIME', session)
if expiresAt - now < touchBelowMs then
  local extended = math.min(now + idleMs, deadline)
  if extended ~= expiresAt then
    redis.call('PEXPIREAT', session, extended)
    expiresAt = extended
  end
end

local reply = redis.call('HGETALL', session)
table.insert(reply, 1, expiresAt)
return reply
