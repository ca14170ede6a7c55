--[[ How far behind a group is in one partition.
     KEYS[1] stream   KEYS[2] retry set   KEYS[3] dead letters
     ARGV[1] group    ARGV[2] count unread entries one by one up to this many
     Returns {length, lagCount, isLagExact, pendingCount, oldest pending id, oldest unread id, retryCount, deadLetterCount, now, ms}.
     XINFO's own lag is wrong or nil after a trim or a delete, hence the count. Clock: the server's. ]]
local stream, retry, dead = KEYS[1], KEYS[2], KEYS[3]
local wanted, limit = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local retries, letters = redis.call('ZCARD', retry), redis.call('XLEN', dead)
if redis.call('EXISTS', stream) == 0 then return {0, 0, 1, 0, '', '', retries, letters, now} end

local group = {['last-delivered-id'] = '0-0', lag = 0}
local oldestPending, pendingCount = '', 0
for _, found in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if found[2] == wanted then
    for i = 1, #found, 2 do group[found[i]] = found[i + 1] end
    local pending = redis.call('XPENDING', stream, wanted)
    pendingCount, oldestPending = pending[1], pending[2] or ''
  end
end
local unread = redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', limit + 1)
local isExact = #unread <= limit and 1 or 0
local lag = isExact == 1 and #unread or math.max(limit, group.lag or 0)
local oldestUnread = unread[1] and unread[1][1] or ''
return {redis.call('XLEN', stream), lag, isExact, pendingCount, oldestPending, oldestUnread, retries, letters, now}
