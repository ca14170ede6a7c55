--[[ Give a holder its full time again, if it still holds the lock.
     KEYS[1] lock, string   ARGV[1] holder   ARGV[2] ttlMs
     Returns 1, or 0 when it does not: also when nobody does, for somebody may have in between. ]]
local lock, holder, ttlMs = KEYS[1], ARGV[1], ARGV[2]

if redis.call('TYPE', lock).ok ~= 'string' or redis.call('GET', lock) ~= holder then return 0 end
return redis.call('PEXPIRE', lock, ttlMs)
