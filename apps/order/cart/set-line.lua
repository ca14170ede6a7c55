--[[ Put a product into the cart, or change its quantity. If it waited for room, it waits no longer.
     KEYS[1] cart, hash: see cart.ts
     ARGV[1] sku   ARGV[2] quantity   ARGV[3] most lines   ARGV[4] ttlMs   ARGV[5] id if the cart is new
     Returns 1, or 0 when the cart is full. ]]
local cart = KEYS[1]
local sku, quantity = ARGV[1], ARGV[2]
local maxLines, ttlMs, newId = tonumber(ARGV[3]), ARGV[4], ARGV[5]

local lineCount = 0
for _, field in ipairs(redis.call('HKEYS', cart)) do
  if string.find(field, '^[A-Z0-9]') then lineCount = lineCount + 1 end
end
if lineCount >= maxLines and redis.call('HEXISTS', cart, sku) == 0 then return 0 end
redis.call('HSETNX', cart, 'id', newId)
redis.call('HSET', cart, sku, quantity)
redis.call('HDEL', cart, 'waits:' .. sku)
redis.call('PEXPIRE', cart, ttlMs)
return 1
