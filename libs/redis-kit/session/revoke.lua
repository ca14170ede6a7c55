--[[ End all sessions of a user at once, however many: a session of an older epoch is void.
     KEYS[1] the user's epoch   KEYS[2] the user's sessions, zset   KEYS[3] a session to keep (optional)
     ARGV[1] longestMs   ARGV[2] handle of the session to keep
     Returns the handles of the void sessions, for clearing their keys away. Clock: the server's, for a damaged epoch. ]]
local epochKey, index, kept = KEYS[1], KEYS[2], KEYS[3]
local longestMs, keptHandle = ARGV[1], ARGV[2]

local seen = redis.call('GET', epochKey) or '0'
local time = redis.call('TIME')
-- An epoch that does not count (damaged, foreign) is replaced by one that no session carries: the time, in microseconds.
if #seen > 17 or not string.find(seen, '^%d+$') then redis.call('SET', epochKey, time[1] .. string.format('%06d', time[2])) end
local epoch = redis.call('INCR', epochKey)
redis.call('PEXPIRE', epochKey, longestMs)

local deadline = kept and redis.call('ZSCORE', index, keptHandle)
local handles = redis.call('ZRANGE', index, 0, -1)
redis.call('UNLINK', index)
-- Only a session that was valid is carried over: one that an earlier revocation ended must not come back.
if deadline and redis.call('HGET', kept, 'ep') == seen then
  redis.call('HSET', kept, 'ep', epoch)
  redis.call('ZADD', index, deadline, keptHandle)
  redis.call('PEXPIRE', index, longestMs)
  for i, handle in ipairs(handles) do
    if handle == keptHandle then table.remove(handles, i) break end
  end
end
return handles
