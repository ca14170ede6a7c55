--[[ Remove consumers that hold nothing and have been silent for long. XGROUP DELCONSUMER drops what a consumer holds, so the
     look and the removal are one step.
     KEYS[1] stream
     ARGV[1] silence that counts, ms
     Returns the names removed. Clock: the server's. ]]
local stream = KEYS[1]
local idleMs = tonumber(ARGV[1])
local removed = {}
if redis.call('EXISTS', stream) == 0 then return removed end

for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local name = group[2]
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
    local fields = {}
    for i = 1, #consumer, 2 do fields[consumer[i]] = consumer[i + 1] end
    if fields.pending == 0 and fields.idle > idleMs then
      redis.call('XGROUP', 'DELCONSUMER', stream, name, fields.name)
      removed[#removed + 1] = fields.name
    end
  end
end
return removed
