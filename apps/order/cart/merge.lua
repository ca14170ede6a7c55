--[[ Add the lines of a guest's cart to a customer's. Of a product that is in both the larger quantity stays, so that doing it
     twice, after a crash between this and the removal of the guest's lines, changes nothing.
     KEYS[1] the customer's cart, hash: id, and quantity by sku
     ARGV[1] most lines   ARGV[2] ttlMs   ARGV[3] id if the cart is new   ARGV[4...] sku, quantity, ...
     Returns the skus for which there was no room: they stay where they are. ]]
local cart = KEYS[1]
local maxLines, ttlMs, newId = tonumber(ARGV[1]), ARGV[2], ARGV[3]

local isChanged = redis.call('HSETNX', cart, 'id', newId) == 1
local waiting = {}
for i = 4, #ARGV, 2 do
  local sku, quantity = ARGV[i], tonumber(ARGV[i + 1])
  local present = tonumber(redis.call('HGET', cart, sku) or 0)
  if present == 0 and redis.call('HLEN', cart) - 1 >= maxLines then
    waiting[#waiting + 1] = sku
  elseif quantity > present then
    redis.call('HSET', cart, sku, quantity)
    isChanged = true
  end
end
-- Lines that wait are tried again and again: looking at a cart does not make it live longer.
if isChanged then redis.call('PEXPIRE', cart, ttlMs) end
return waiting
