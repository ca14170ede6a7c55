--[[ Make a cart of what is at its key: another type is no cart, what cart.ts never writes is removed, lines without a usable id get one.
     KEYS[1] cart, hash: see cart.ts   ARGV[1] id if it has none   ARGV[2] most of a line   ARGV[3] ttlMs
     Returns 1. ]]
local cart, newId, maxQuantity, ttlMs = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
if redis.call('TYPE', cart).ok ~= 'hash' then
  redis.call('UNLINK', cart)
  return 1
end

local x4 = '%x%x%x%x'
local uuid = '^' .. x4 .. x4 .. '%-' .. x4 .. '%-' .. x4 .. '%-' .. x4 .. '%-' .. x4 .. x4 .. x4 .. '$'
local function isSku(text) return #text <= 32 and string.find(text, '^[A-Z0-9][A-Z0-9-]+[A-Z0-9]$') end

--- What the field should hold; nil when it should not be there.
local function mended(field, value)
  if field == 'seen' then return value end
  if field == 'id' or field == 'moving' then return string.find(value, uuid) and value end
  local sku = string.match(field, '^waits:(.*)$') or string.match(field, '^moves:(.*)$') or field
  local quantity = isSku(sku) and string.find(value, '^%d+$') and tonumber(value) or 0
  if quantity > maxQuantity then return tostring(maxQuantity) end
  return quantity > 0 and value
end

local fields = redis.call('HGETALL', cart)
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  local right = mended(field, value)
  if not right then redis.call('HDEL', cart, field) elseif right ~= value then redis.call('HSET', cart, field, right) end
end
if redis.call('EXISTS', cart) == 1 then
  redis.call('HSETNX', cart, 'id', newId)
  redis.call('PEXPIRE', cart, ttlMs)
end
return 1
