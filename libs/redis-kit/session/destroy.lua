--[[ End a session.
     KEYS[1] session, hash   KEYS[2] the user's sessions, zset
     ARGV[1] handle   ARGV[2] the user it must belong to, '' for whoever holds its id
     Returns 1, or 0 when there is no such session of this user. ]]
local session, index = KEYS[1], KEYS[2]
local handle, owner = ARGV[1], ARGV[2]

local uid = redis.call('HGET', session, 'uid')
if uid and owner ~= '' and owner ~= uid then return 0 end
redis.call('ZREM', index, handle)
return redis.call('UNLINK', session)
