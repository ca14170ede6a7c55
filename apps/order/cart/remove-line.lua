--[[ Take a product out of the cart. A cart without products is no cart.
     KEYS[1] cart, hash: id, and quantity by sku   ARGV[1] sku ]]
local cart, sku = KEYS[1], ARGV[1]

redis.call('HDEL', cart, sku)
if redis.call('HLEN', cart) <= 1 then redis.call('UNLINK', cart) end
return 1
