--[[ Forget the lines that were moved. New ones stay.
     KEYS[1] cart, hash: see cart.ts   ARGV[1] id of the move
     Returns how many lines are left. ]]
local cart, move = KEYS[1], ARGV[1]

local isOurs = redis.call('HGET', cart, 'moving') == move
local leftCount = 0
for _, field in ipairs(redis.call('HKEYS', cart)) do
  if string.find(field, '^[A-Z0-9]') then leftCount = leftCount + 1 end
  if isOurs and string.find(field, '^moves:') then redis.call('HDEL', cart, field) end
end
if isOurs then redis.call('HDEL', cart, 'moving') end
if leftCount == 0 and isOurs then redis.call('UNLINK', cart) end
return leftCount
