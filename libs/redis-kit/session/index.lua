--[[ The handles of a user's sessions, oldest first. Those past their absolute deadline are removed on the way, and so is
     what is not a handle.
     KEYS[1] the user's sessions, zset: handle by absolute deadline, ms
     ARGV[1] the most to return
     Clock: the server's. ]]
local index, limit = KEYS[1], tonumber(ARGV[1])

local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', index, '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
local handles = {}
for _, handle in ipairs(redis.call('ZRANGE', index, 0, limit - 1)) do
  if #handle == 43 and not string.find(handle, '[^%w_-]') then
    handles[#handles + 1] = handle
  else
    redis.call('ZREM', index, handle)
  end
end
return handles
