--[[ Claim a request for one owner, or say what became of it.
     KEYS[1] record, hash: fp owner, while in progress `until`, afterwards `status headers body sum` (see complete.lua)
     ARGV[1] fingerprint   ARGV[2] owner   ARGV[3] leaseMs   ARGV[4] ttlMs   ARGV[5] 1: forget a damaged record, and start
     Returns {0} started, {1, lease left in ms} in progress, {2} mismatch, {3, status, headers, body} replay, {4} damaged.
     Clock: the server's. Running it again for the same owner claims nothing twice. ]]
local record = KEYS[1]
local fingerprint, owner, leaseMs, ttlMs, startsAnew = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local kind = redis.call('TYPE', record).ok
if kind ~= 'none' then
  local fields = { 'fp', 'owner', 'until', 'status', 'headers', 'body', 'sum' }
  local known = kind == 'hash' and redis.call('HMGET', record, unpack(fields)) or {}
  local print, holder, leaseUntil, status, headers, body, sum = unpack(known, 1, 7)
  local isAnswered = status and headers and body
  local left = leaseUntil and string.find(leaseUntil, '^%d+$') and tonumber(leaseUntil) - now
  local isOpen = not status and left and left <= tonumber(ttlMs)
  local isSound = print and holder and (isOpen or isAnswered and sum == redis.sha1hex(table.concat({ print, status, headers, body }, '\n')))
  if redis.call('PTTL', record) < 0 then redis.call('PEXPIRE', record, ttlMs) end

  if isSound and print ~= fingerprint then return { 2 } end
  if isSound and isAnswered then return { 3, tonumber(status), headers, body } end
  -- Past its lease, its process is gone, or so slow that it will not be believed.
  if isSound and holder ~= owner and left > 0 then return { 1, left } end
  if not isSound and not startsAnew then return { 4 } end
  if not isSound then redis.call('UNLINK', record) end
end

redis.call('HSET', record, 'fp', fingerprint, 'owner', owner, 'until', string.format('%.0f', now + leaseMs))
redis.call('PEXPIRE', record, ttlMs)
return { 0 }
