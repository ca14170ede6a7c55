--[[ Put a dead letter back on the stream, for the group that gave it up only, and remove the letter, in one step.
     KEYS[1] stream   KEYS[2] dead letters
     ARGV[1] the letter's id
     Returns the new id on the stream, or '' if there is no such letter (any more). ]]
local stream, dead = KEYS[1], KEYS[2]
local letterId = ARGV[1]

local letter = redis.call('XRANGE', dead, letterId, letterId)[1]
if not letter then return '' end
local fields, original = letter[2], {}
for i = 11, #fields, 2 do
  if fields[i] ~= 'only' then
    original[#original + 1] = fields[i]
    original[#original + 1] = fields[i + 1]
  end
end
original[#original + 1] = 'only'
original[#original + 1] = fields[2]

local id = redis.call('XADD', stream, '*', unpack(original))
redis.call('XDEL', dead, letterId)
return id
