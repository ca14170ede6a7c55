--[[ Read a session, and put off its idle deadline when less than the given share of its idle time remains. Writes only then.
     KEYS[1] session, hash   KEYS[2] the user's epoch
     ARGV[1] touchBelow, a share of the session's own idle time
     A server that refuses writes (read-only, too few replicas, failed snapshot) still says who is signed in.
     Returns {expiresAtMs, uid, iat, dev, gen, field, value, ...}, or nothing when there is no such session (any more).
     Clock: the server's. ]]
local session, epochKey = KEYS[1], KEYS[2]
local touchBelow = tonumber(ARGV[1])

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
-- Only what has what every session has: an empty, damaged or foreign hash is nobody's.
local function whole(text) return text and #text < 16 and string.find(text, '^%d+$') and tonumber(text) end
local idleMs, deadline = whole(meta.idle), whole(meta.abs)
if not (meta.uid and meta.ep and idleMs and deadline and whole(meta.iat) and whole(meta.gen)) then return {} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiresAt = redis.call('PEXPIRETIME', session)
if meta.ep ~= (redis.call('GET', epochKey) or '0') or deadline <= now then
  redis.pcall('UNLINK', session)
  return {}
end
local touchedAt = math.min(now + idleMs, deadline)
if expiresAt - now < idleMs * touchBelow and expiresAt ~= touchedAt then
  local touched = redis.pcall('PEXPIREAT', session, touchedAt)
  local refusal = type(touched) == 'table' and string.match(touched.err, '^-?(%u+)')
  if not refusal then expiresAt = touchedAt
  elseif not ({ READONLY = 1, NOREPLICAS = 1, MISCONF = 1, OOM = 1 })[refusal] then return touched end
end
reply[1], reply[2], reply[3], reply[4], reply[5] = expiresAt, meta.uid, meta.iat, meta.dev or '', meta.gen
return reply
