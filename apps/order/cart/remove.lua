--[[ Take a product out of the cart, whether it is a line or waits for room. An empty cart is removed, or kept for as long as it has to
     remember what was merged into it.
     KEYS[1] cart, hash: see cart.ts   ARGV[1] sku   ARGV[2] rememberMs
     Returns 1. ]]
local cart = KEYS[1]
local sku, rememberMs = ARGV[1], ARGV[2]

redis.call('HDEL', cart, sku, 'waits:' .. sku)
local remembers = redis.call('HEXISTS', cart, 'seen')
if redis.call('HLEN', cart) > redis.call('HEXISTS', cart, 'id') + remembers then return 1 end
if remembers == 1 then redis.call('PEXPIRE', cart, rememberMs) else redis.call('UNLINK', cart) end
return 1
