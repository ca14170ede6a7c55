--[[ Set the lines of a guest's cart apart, to be moved to a customer's: what is moved changes no more, and new lines may come meanwhile.
     KEYS[1] cart, hash: see cart.ts   ARGV[1] id of the move, unless one was begun before and has not ended
     Returns {id of the move, sku, quantity, ...}, or {} when there is nothing to move. ]]
local cart = KEYS[1]
local begun = redis.call('HGET', cart, 'moving')
local isNew = not begun or #begun ~= 36 -- no id of a move: damaged
local move = isNew and ARGV[1] or begun

local function whole(text) return text and string.find(text, '^%d+$') and tonumber(text) or 0 end
local fields = redis.call('HGETALL', cart)
local moved = { move }
for i = 1, #fields, 2 do
  local sku, quantity = fields[i], fields[i + 1]
  if (string.find(sku, '^[A-Z0-9]') or string.find(sku, '^moves:')) and whole(quantity) == 0 then
    redis.call('HDEL', cart, sku) -- no quantity
  elseif isNew and string.find(sku, '^[A-Z0-9]') then
    redis.call('HSET', cart, 'moving', move, 'moves:' .. sku, quantity)
    redis.call('HDEL', cart, sku)
    moved[#moved + 1], moved[#moved + 2] = sku, quantity
  elseif string.find(sku, '^moves:') then
    redis.call('HSET', cart, 'moving', move)
    moved[#moved + 1], moved[#moved + 2] = string.sub(sku, 7), quantity
  end
end
return #moved > 1 and moved or {}
