--[[ Add lines from elsewhere, once per source: a guest's cart at sign-in, an order that came to nothing. Of a product that is in both the
     larger quantity stays. A product for which there is no room waits.
     KEYS[1] cart, hash: see cart.ts
     ARGV[1] id of the source   ARGV[2] most lines   ARGV[3] most that may wait   ARGV[4] most of a line   ARGV[5] ttlMs
     ARGV[6] id if the cart is new   ARGV[7...] sku, quantity, ...
     Returns 'merged', 'seen' (this source was merged before), or 'no-room' (too much would wait): then nothing has changed. ]]
local cart, source = KEYS[1], ARGV[1]
local maxLines, maxWaiting, maxQuantity = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ttlMs, newId = ARGV[5], ARGV[6]
local rememberedBytes = 20 * 37 -- a blank and an id each

local function whole(text) return text and string.find(text, '^%d+$') and tonumber(text) or 0 end
local seen = redis.call('HGET', cart, 'seen') or ''
if string.find(seen, source, 1, true) then return 'seen' end

local lineCount, waitingCount = 0, 0
for _, field in ipairs(redis.call('HKEYS', cart)) do
  if string.find(field, '^[A-Z0-9]') then lineCount = lineCount + 1 end
  if string.find(field, '^waits:') then waitingCount = waitingCount + 1 end
end
local changes = { 'seen', string.sub(seen .. ' ' .. source, -rememberedBytes) }
for i = 7, #ARGV, 2 do
  local field, quantity = ARGV[i], math.min(maxQuantity, whole(ARGV[i + 1]))
  local present = redis.call('HGET', cart, field)
  if not present and lineCount < maxLines and redis.call('HEXISTS', cart, 'waits:' .. field) == 0 then
    lineCount = lineCount + 1
  elseif not present then
    field = 'waits:' .. field
    present = redis.call('HGET', cart, field)
    if not present then waitingCount = waitingCount + 1 end
  end
  if quantity > whole(present) then changes[#changes + 1], changes[#changes + 2] = field, quantity end
end
if waitingCount > maxWaiting then return 'no-room' end
redis.call('HSET', cart, unpack(changes))
redis.call('HSETNX', cart, 'id', newId)
redis.call('PEXPIRE', cart, ttlMs)
return 'merged'
