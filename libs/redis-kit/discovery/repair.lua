--[[ Remove keys of another type: the registry has lost them, and the next beats write them anew.
     KEYS[1] expiry   KEYS[2] records   KEYS[3] rev, as in beat.lua
     Returns 1. ]]
for i, declared in ipairs({ 'zset', 'hash', 'string' }) do
  if redis.call('TYPE', KEYS[i]).ok ~= declared then redis.call('UNLINK', KEYS[i]) end
end
return 1
