-- The twin of decide and slow in decide.go; keep them equal. Times in microseconds.
-- KEYS: the number's state
-- ARGV: 'take' | 'slow' | 'look', rate per second, messages wanted, horizon, lane, worker, [clock, run of Redis: the test's]
local time = redis.call('TIME')
local now, run = time[1] * 1000000 + time[2], ''
if ARGV[7] then
  now, run = tonumber(ARGV[7]), ARGV[8]
else
  -- Without the right to ask, a restart is told by lost data alone.
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'string' then run = string.match(info, 'run_id:(%x+)') or '' end
end
local op, limit, n, horizon = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local lane, worker = ARGV[5], ARGV[6]
local kept = redis.call('HMGET', KEYS[1], 'next', 'since', 'run', 'base', 'cut', 'hit', 'lane', 'mixed', 'worker', 'shared')
local function number(i) return tonumber(kept[i] or 0) end
local next, since, base, cut, hit, mixed, shared = number(1), number(2), number(4), number(5), number(6), number(8), number(10)
local was, last, asked = kept[3] or '', kept[7] or '', kept[9] or ''

local new = {}
local function set(field, value)
  new[#new + 1] = field
  new[#new + 1] = type(value) == 'number' and string.format('%.0f', value) or value
end

if since == 0 or was ~= run then
  since = now
  set('since', since)
  set('run', run)
end
local full = limit * 985
local function rate()
  if cut == 0 then return full end
  local steps = math.floor(math.max(now - hit, 0) / 1000000)
  return math.min(full, base + steps * math.ceil(full / 20))
end

local count, delay, gap = 0, 0, math.ceil(1000000000 / rate())
if op == 'slow' then
  if cut == 0 or now - cut >= 2000000 then
    base = math.max(math.floor(rate() * 7 / 10), math.ceil(full / 10))
    set('base', base)
    set('cut', now)
  end
  set('hit', now)
else
  local start = math.max(next, now, since + 1000000)
  delay = start - now
  if delay <= horizon then
    count = math.min(n, math.floor((horizon - delay) / gap) + 1)
  end
  if op == 'take' and count > 0 then
    local together = 6000000 * 45 + 1000000
    if lane ~= '' and lane ~= last then
      if last ~= '' and now < next + together then
        mixed = now + together
        set('mixed', mixed)
      end
      set('lane', lane)
    end
    if worker ~= '' and worker ~= asked then
      if asked ~= '' and now < next + 1000000 then
        shared = now + 2000000
        set('shared', shared)
      end
      set('worker', worker)
    end
    set('next', start + count * gap)
  end
end
if #new > 0 and op ~= 'look' then
  redis.call('HSET', KEYS[1], unpack(new))
  redis.call('PEXPIRE', KEYS[1], 2592000000) -- a month of silence; after it a number starts as a new one
end
return { count, delay, gap, now < mixed and 1 or 0, now < shared and 1 or 0 }
