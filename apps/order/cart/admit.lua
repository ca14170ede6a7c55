--[[ Make lines of what waits, as far as there is room.
     KEYS[1] cart, hash: see cart.ts   ARGV[1] most lines   ARGV[2] ttlMs
     Returns how many came in. ]]
local cart = KEYS[1]
local maxLines, ttlMs = tonumber(ARGV[1]), ARGV[2]

local lineCount, waiting = 0, {}
for _, field in ipairs(redis.call('HKEYS', cart)) do
  if string.find(field, '^[A-Z0-9]') then lineCount = lineCount + 1 end
  if string.find(field, '^waits:') then waiting[#waiting + 1] = field end
end
table.sort(waiting)
local roomCount = math.max(0, math.min(#waiting, maxLines - lineCount))
for i = 1, roomCount do
  local sku = string.sub(waiting[i], 7)
  redis.call('HSET', cart, sku, redis.call('HGET', cart, waiting[i]))
  redis.call('HDEL', cart, waiting[i])
end
if roomCount > 0 then redis.call('PEXPIRE', cart, ttlMs) end
return roomCount
