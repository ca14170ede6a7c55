--[[ Take what was ordered out of a cart, once per cart id: what is left is another cart from then on.
     KEYS[1] cart, hash: see cart.ts
     ARGV[1] id   ARGV[2] id of what is left   ARGV[3] ttlMs   ARGV[4] rememberMs   ARGV[5...] sku, quantity, ...
     Returns 1, or 0 when the cart is another one: then nothing has changed. ]]
local cart = KEYS[1]
local id, newId, ttlMs, rememberMs = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local function whole(text) return text and string.find(text, '^%d+$') and tonumber(text) or 0 end
if redis.call('HGET', cart, 'id') ~= id then return 0 end
for i = 5, #ARGV, 2 do
  local sku, quantity = ARGV[i], tonumber(ARGV[i + 1])
  local leftCount = whole(redis.call('HGET', cart, sku)) - quantity
  if leftCount > 0 then redis.call('HSET', cart, sku, leftCount) else redis.call('HDEL', cart, sku) end
end
redis.call('HSET', cart, 'id', newId)

local remembers = redis.call('HEXISTS', cart, 'seen')
if redis.call('HLEN', cart) > 1 + remembers then
  redis.call('PEXPIRE', cart, ttlMs)
elseif remembers == 1 then
  redis.call('PEXPIRE', cart, rememberMs)
else
  redis.call('UNLINK', cart)
end
return 1
