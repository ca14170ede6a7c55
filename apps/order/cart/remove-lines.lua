--[[ Take products out of the cart. A cart without products is no cart.
     KEYS[1] cart, hash: id, and quantity by sku   ARGV sku, ... ]]
local cart = KEYS[1]

redis.call('HDEL', cart, unpack(ARGV))
if redis.call('HLEN', cart) <= 1 then redis.call('UNLINK', cart) end
return 1
