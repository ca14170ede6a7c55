--[[ Leave a lock, if it is still the holder's: what is another's by now stays.
     KEYS[1] lock, string   ARGV[1] holder
     Returns 1, or 0 when it was not. ]]
local lock, holder = KEYS[1], ARGV[1]

if redis.call('TYPE', lock).ok ~= 'string' or redis.call('GET', lock) ~= holder then return 0 end
return redis.call('DEL', lock)
