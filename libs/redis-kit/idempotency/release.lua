--[[ Give a claim back as if the request had never come: only for whoever knows that nothing was done.
     KEYS[1] record, hash   ARGV[1] owner
     Returns 1, or 0 when it is not the owner's any more, or completed. ]]
local record, owner = KEYS[1], ARGV[1]

if redis.call('TYPE', record).ok ~= 'hash' then return 0 end
local known = redis.call('HMGET', record, 'owner', 'status')
if known[1] ~= owner or known[2] then return 0 end
redis.call('DEL', record)
return 1
