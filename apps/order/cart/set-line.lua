--[[ Put a product into the cart, or change its quantity.
     KEYS[1] cart, hash: id, and quantity by sku
     ARGV[1] sku   ARGV[2] quantity   ARGV[3] most lines   ARGV[4] ttlMs   ARGV[5] id if the cart is new
     Returns 1, or 0 when the cart is full. ]]
local cart = KEYS[1]
local sku, quantity = ARGV[1], ARGV[2]
local maxLines, ttlMs, newId = tonumber(ARGV[3]), ARGV[4], ARGV[5]

local lines = redis.call('HLEN', cart) - 1 -- without the id; -1 for a new cart
if lines >= maxLines and redis.call('HEXISTS', cart, sku) == 0 then return 0 end
redis.call('HSETNX', cart, 'id', newId)
redis.call('HSET', cart, sku, quantity)
redis.call('PEXPIRE', cart, ttlMs)
return 1
