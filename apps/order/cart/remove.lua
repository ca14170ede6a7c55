--[[ Remove a cart, unless it is another one by now: lines that were added after an order belong to the next one.
     KEYS[1] cart, hash: id, and quantity by sku   ARGV[1] id
     Returns 1 when it was removed. ]]
local cart, id = KEYS[1], ARGV[1]

if redis.call('HGET', cart, 'id') ~= id then return 0 end
return redis.call('UNLINK', cart)
