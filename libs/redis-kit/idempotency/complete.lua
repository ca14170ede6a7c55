--[[ Keep the response of a request, if the claim is still its owner's: of two who worked, the last to claim is believed.
     KEYS[1] record, hash   ARGV[1] owner   ARGV[2] status   ARGV[3] headers, JSON   ARGV[4] body   ARGV[5] ttlMs
     Returns 1, or 0 when it is another's. Running it again changes nothing. ]]
local record = KEYS[1]
local owner, status, headers, body, ttlMs = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local known = redis.call('HMGET', record, 'owner', 'status')
if known[1] ~= owner then return 0 end
if known[2] then return 1 end -- by us: the answer to that was lost

redis.call('HSET', record, 'status', status, 'headers', headers, 'body', body)
redis.call('HDEL', record, 'until')
redis.call('PEXPIRE', record, ttlMs)
return 1
