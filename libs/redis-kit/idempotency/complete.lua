--[[ Keep the response of a request, if the claim is still its owner's: of two who worked, the last to claim is believed.
     KEYS[1] record, hash   ARGV[1] owner   ARGV[2] status   ARGV[3] headers, JSON   ARGV[4] body   ARGV[5] ttlMs
     Keeps a checksum of the whole: damaged or foreign bytes are never repeated as an answer.
     Returns 1, or 0 when it is another's. Running it again changes nothing. ]]
local record = KEYS[1]
local owner, status, headers, body, ttlMs = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if redis.call('TYPE', record).ok ~= 'hash' then return 0 end
local known = redis.call('HMGET', record, 'owner', 'status', 'fp')
if known[1] ~= owner then return 0 end
if known[2] then return 1 end -- by us: the answer to that was lost

local sum = redis.sha1hex(table.concat({ known[3] or '', status, headers, body }, '\n'))
redis.call('HSET', record, 'status', status, 'headers', headers, 'body', body, 'sum', sum)
redis.call('HDEL', record, 'until')
redis.call('PEXPIRE', record, ttlMs)
return 1
