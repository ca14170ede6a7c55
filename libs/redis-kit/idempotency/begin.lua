--[[ Claim a request for one owner, or say what became of it.
     KEYS[1] record, hash: fp owner, while in progress `until`, afterwards `status headers body`
     ARGV[1] fingerprint   ARGV[2] owner   ARGV[3] leaseMs   ARGV[4] ttlMs
     Returns {0} started, {1, lease left in ms} in progress, {2} mismatch, {3, status, headers, body} replay.
     Clock: the server's. Running it again for the same owner claims nothing twice. ]]
local record = KEYS[1]
local fingerprint, owner, leaseMs, ttlMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local known = redis.call('HMGET', record, 'fp', 'owner', 'until', 'status', 'headers', 'body')
local knownPrint, holder, leaseUntil, status = known[1], known[2], known[3], known[4]

if knownPrint and knownPrint ~= fingerprint then return { 2 } end
if status then return { 3, tonumber(status), known[5], known[6] } end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if holder and holder ~= owner then
  local left = tonumber(leaseUntil) - now
  if left > 0 then return { 1, left } end -- else its process is gone, or so slow that it will not be believed
end

redis.call('HSET', record, 'fp', fingerprint, 'owner', owner, 'until', string.format('%.0f', now + leaseMs))
redis.call('PEXPIRE', record, ttlMs)
return { 0 }
