--[[ Read a session, and put off its idle deadline when little of the idle time remains. Writes only then.
     KEYS[1] session, hash   KEYS[2] the user's epoch
     ARGV[1] idleMs   ARGV[2] touchBelowMs
     Returns {expiresAtMs, uid, iat, dev, gen, field, value, ...}, or nothing when there is no such session (any more).
     Clock: the server's. ]]
local session, epochKey = KEYS[1], KEYS[2]
local idleMs, touchBelowMs = tonumber(ARGV[1]), tonumber(ARGV[2])

local meta, reply = {}, { 0, '', '', '', '' }
local hash = redis.call('HGETALL', session)
for i = 1, #hash, 2 do
  local name, value = hash[i], hash[i + 1]
  if name:sub(1, 2) == 'd:' then
    reply[#reply + 1] = name:sub(3)
    reply[#reply + 1] = value
  else
    meta[name] = value
  end
end
-- Only what has what every session has: an empty or foreign hash is nobody's.
if not (meta.uid and meta.iat and meta.abs and meta.ep) then return {} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline, expiresAt = tonumber(meta.abs), redis.call('PEXPIRETIME', session)
if meta.ep ~= (redis.call('GET', epochKey) or '0') or deadline <= now then
  redis.call('UNLINK', session)
  return {}
end
if expiresAt - now < touchBelowMs and expiresAt ~= math.min(now + idleMs, deadline) then
  expiresAt = math.min(now + idleMs, deadline)
  redis.call('PEXPIREAT', session, expiresAt)
end
reply[1], reply[2], reply[3], reply[4], reply[5] = expiresAt, meta.uid, meta.iat, meta.dev or '', meta.gen or ''
return reply
