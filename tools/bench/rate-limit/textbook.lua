--[[ The token bucket of the usual example, as a control for the measurements. Not for use.
     KEYS[1] hash of tokens and refilledMs     ARGV[1] capacity   ARGV[2] interval of one token, ms   ARGV[3] now, ms
     Returns 1 when a token was taken, else 0. Clock: the caller's.
     Wrong on purpose: a clock that is ahead lets its burst through at once, and then keeps all others from refilling until they
     have reached its time; a denial writes; no key expires. ]]
local key = KEYS[1]
local capacity, interval, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local bucket = redis.call('HMGET', key, 'tokens', 'refilledMs')
local tokens = tonumber(bucket[1]) or capacity
local refilled = tonumber(bucket[2]) or now

local intervals = math.floor((now - refilled) / interval)
if intervals > 0 then
  tokens = math.min(capacity, tokens + intervals)
  refilled = refilled + intervals * interval
end

local taken = 0
if tokens >= 1 then
  tokens = tokens - 1
  taken = 1
end
redis.call('HSET', key, 'tokens', tokens, 'refilledMs', string.format('%.0f', refilled))
return taken
