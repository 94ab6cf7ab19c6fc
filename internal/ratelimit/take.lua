-- The twin of decide in decide.go; keep them equal.
-- KEYS: next due time, since when this server has kept count (both in microseconds)
-- ARGV: rate per second, messages wanted, horizon in microseconds
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if ARGV[4] then now = tonumber(ARGV[4]) end -- the test's clock
local rate, n, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local gap = math.ceil(1000000 / rate)
local since = tonumber(redis.call('GET', KEYS[2]))
if not since then
  since = now
  redis.call('SET', KEYS[2], string.format('%.0f', since), 'PX', 2592000000)
end
local start = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now, since + 1000000)
local delay = start - now
local count = 0
if delay <= horizon then
  count = math.min(n, math.floor((horizon - delay) / gap) + 1)
end
if count > 0 then
  -- Kept a second past the last due time; once silent that long, a number starts from now.
  redis.call('SET', KEYS[1], string.format('%.0f', start + count * gap), 'PX', math.ceil((delay + count * gap) / 1000) + 1000)
end
return { count, delay, gap }
