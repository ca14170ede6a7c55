--[[ Stores or removes the override of a policy, unless another change came first.
     KEYS[1] overrides, hash: policy -> "<revision> <JSON>"   KEYS[2] changes, stream
     ARGV[1] policy   ARGV[2] revision that the caller saw, 'file' without an override   ARGV[3] JSON to store, '' removes
     ARGV[4] changes to keep   ARGV[5..] fields of the change
     Returns {1, new revision} or {0, revision in force}. Keys of another type are replaced. The revision is the id of the change,
     from the server's clock. ]]
local overrides, changes = KEYS[1], KEYS[2]
local policy, seen, values, keptCount = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local function replaceUnless(key, expected)
  local found = redis.call('TYPE', key).ok
  if found ~= expected and found ~= 'none' then redis.call('DEL', key) end
end
replaceUnless(overrides, 'hash')
replaceUnless(changes, 'stream')

-- An id that is further ahead than any clock: all ids after it would be further still, and the last one has none after it.
local last = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
if last and #string.match(last[1], '^%d+') > 15 then redis.call('DEL', changes) end

local stored = redis.call('HGET', overrides, policy)
local ms, number = string.match(stored or '', '^(%d+)%-(%d+) ')
local revision = ms and #ms <= 15 and #number <= 20 and ms .. '-' .. number or 'file'
if revision ~= seen then return {0, revision} end
if values == '' and not stored then return {1, 'file'} end

local id = redis.call('XADD', changes, 'MAXLEN', keptCount, '*', unpack(ARGV, 5))
if values == '' then
  redis.call('HDEL', overrides, policy)
  return {1, 'file'}
end
redis.call('HSET', overrides, policy, id .. ' ' .. values)
return {1, id}
