-- The twin of admit in pair.go, for many people at once; keep them equal.
-- KEYS: the state of each person's pair, "start count", start in microseconds
-- ARGV: [clock: the test's]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if ARGV[1] then now = tonumber(ARGV[1]) end
local waits = {}
for i, key in ipairs(KEYS) do
  local start, count = string.match(redis.call('GET', key) or '0 0', '(%d+) (%d+)')
  start, count = tonumber(start), tonumber(count)
  local paid = start + count * 6000000 + 1000000
  local wait = 0
  if count == 0 or now >= paid then
    start, count = now, 1
  elseif now < start + 5000000 and count < 44 then
    count = count + 1
  else
    wait = paid - now
  end
  if wait == 0 then
    local ttl = math.ceil((start + count * 6000000 + 1000000 - now) / 1000)
    redis.call('SET', key, string.format('%.0f %d', start, count), 'PX', ttl)
  end
  waits[i] = wait
end
return waits
