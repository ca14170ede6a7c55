--[[ Says which version an instance has in force, and forgets instances that have not said so for a while.
     KEYS[1] instances, hash: id -> "<ms> <version>"   ARGV[1] id   ARGV[2] version   ARGV[3] forgotten after, ms
     Returns 1. A key of another type is replaced. Clock: the server's. ]]
local instances, id, version, forgetMs = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('TYPE', instances).ok ~= 'hash' then redis.call('DEL', instances) end
local reports = redis.call('HGETALL', instances)
for i = 1, #reports, 2 do
  local seenMs = tonumber(string.match(reports[i + 1], '^(%d+) ') or 0)
  if nowMs - seenMs > forgetMs then redis.call('HDEL', instances, reports[i]) end
end
redis.call('HSET', instances, id, string.format('%.0f', nowMs) .. ' ' .. version)
redis.call('PEXPIRE', instances, forgetMs)
return 1
