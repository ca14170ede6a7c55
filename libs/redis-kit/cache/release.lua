--[[ Give a lease back without a value, because loading failed.
     KEYS[1] lease   ARGV[1] the caller's token   ARGV[2] nobody else may try for so long, ms; 0: at once
     Returns 1 = given back, 0 = it was no longer the caller's. ]]
local lease = KEYS[1]
local token, pauseMs = ARGV[1], tonumber(ARGV[2])

if redis.call('GET', lease) ~= token then
  return 0
end
if pauseMs > 0 then
  redis.call('PEXPIRE', lease, pauseMs)
else
  redis.call('DEL', lease)
end
return 1
