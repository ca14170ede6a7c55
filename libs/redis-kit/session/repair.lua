--[[ Replace keys of another type: none of them is a session of this user.
     KEYS[1] the user's sessions, zset   KEYS[2] the user's epoch   KEYS[3...] sessions, hashes
     ARGV[1] longestMs, how long an epoch outlives its last use
     The epoch becomes one that no session carries: which were revoked is not known, so none is believed. Clock: the server's. ]]
local index, epochKey, longestMs = KEYS[1], KEYS[2], ARGV[1]

local function isForeign(key, type)
  local found = redis.call('TYPE', key).ok
  return found ~= 'none' and found ~= type
end

for i = 3, #KEYS do
  if isForeign(KEYS[i], 'hash') then redis.call('UNLINK', KEYS[i]) end
end
if isForeign(index, 'zset') then redis.call('UNLINK', index) end
if isForeign(epochKey, 'string') then
  local time = redis.call('TIME')
  redis.call('SET', epochKey, time[1] .. string.format('%06d', time[2]), 'PX', longestMs)
end
return 1
