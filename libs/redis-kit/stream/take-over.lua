--[[ Take over messages whose consumer fell silent, or (scope 'own') those that an earlier life of this consumer left.
     What waits for its retry stays where it is, and what is in hand is not handed out again.
     Counts nothing as handed out: that is count.lua's, once this answer has arrived.
     KEYS[1] stream   KEYS[2] retry set
     ARGV[1] group    ARGV[2] consumer   ARGV[3] silence that counts, ms   ARGV[4] cursor, from 0-0
     ARGV[5] count    ARGV[6] scope: own · idle    ARGV[7...] ids in hand
     Returns {next cursor (0-0 at the end), lostCount, {{id, fields, handOutCount}}}. Clock: the server's. ]]
local stream, retry = KEYS[1], KEYS[2]
local group, consumer, minIdleMs, cursor = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local count, scope = tonumber(ARGV[5]), ARGV[6]
local ids, lost, entries, inHand = {}, 0, {}, {}
for i = 7, #ARGV do inHand[ARGV[i]] = true end

if scope == 'own' then
  local after = cursor == '0-0' and '-' or '(' .. cursor
  for _, pending in ipairs(redis.call('XPENDING', stream, group, after, '+', count, consumer)) do
    ids[#ids + 1] = pending[1]
  end
  cursor = #ids < count and '0-0' or ids[#ids]
else
  -- JUSTID: claims without counting a delivery; the third element are the ids whose entries no longer exist.
  local claimed = redis.call('XAUTOCLAIM', stream, group, consumer, minIdleMs, cursor, 'COUNT', count, 'JUSTID')
  cursor, ids, lost = claimed[1], claimed[2], #claimed[3]
end

for _, id in ipairs(ids) do
  if not inHand[id] and not redis.call('ZSCORE', retry, id) then
    local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
    local entry = redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', pending[4])[1]
    if entry then
      entries[#entries + 1] = {entry[1], entry[2], pending[4]}
    else
      lost = lost + 1
    end
  end
end
return {cursor, lost, entries}
