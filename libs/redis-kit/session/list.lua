--[[ Describe sessions of the index, and drop from it those that have ended.
     KEYS[1] the user's sessions, zset   KEYS[2] the user's epoch   KEYS[3...] sessions
     ARGV[1...] their handles
     Returns {expiresAtMs, uid, iat, device, ...} per session that lives, handle first. ]]
local index, epochKey = KEYS[1], KEYS[2]

local epoch = redis.call('GET', epochKey) or '0'
local living = {}
for i, handle in ipairs(ARGV) do
  local session = KEYS[i + 2]
  local meta = redis.call('HMGET', session, 'ep', 'uid', 'iat', 'dev')
  local isWhole = meta[2] and meta[3] and #meta[3] < 16 and string.find(meta[3], '^%d+$')
  if meta[1] == epoch and isWhole then
    living[#living + 1] = { handle, meta[2], meta[3], redis.call('PEXPIRETIME', session), meta[4] }
  else
    redis.call('ZREM', index, handle)
  end
end
return living
