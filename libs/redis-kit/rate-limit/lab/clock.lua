--[[ The clock of the server that decides: in a Cluster the node that holds the key.
     KEYS[1] a key of the experiment, not read
     Returns {seconds, microseconds} since 1970. ]]
local time = redis.call('TIME')
return { tonumber(time[1]), tonumber(time[2]) }
