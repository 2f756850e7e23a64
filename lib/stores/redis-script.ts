import { lease } from '../model/shared-limits.js';

/**
 * Limits in Redis, by its clock; {@link SharedLimits} says what a message means.
 *
 * Keys: a hash with the clock, the hold and the last start; a hash with a row for each process; the last answer to this process; and for each
 * window a sorted set of grains by the time of their last part, and a hash of their amounts with the sum in `s`.
 */
export const script = `
local m = cjson.decode(ARGV[1])
local state, rows, mine = KEYS[1], KEYS[2], KEYS[3]
local said = redis.call('GET', mine)
if said then
  local seq, text = string.match(said, '^(%d+) (.*)$')
  if m.seq <= tonumber(seq) then return text end
end
local function text(n) return string.format('%.0f', n) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local known = redis.call('HMGET', state, 'last', 'behind', 'hold', 'next')
local last, behind = tonumber(known[1] or 0), tonumber(known[2] or 0)
local hold, nextStart = tonumber(known[3] or 0), tonumber(known[4] or 0)
now = now + behind
if now < last then behind = behind + last - now; now = last end

-- Processes: places of others, who waits longer, and the longest that each window is kept.
local sizes = {}
for _, w in ipairs(m.windows) do sizes[w.name] = w.size end
local all, since = redis.call('HGETALL', rows), now
local others, held = {}, m.held
for i = 1, #all, 2 do
  local row = cjson.decode(all[i + 1])
  if all[i] == m.from then
    if row.ends > now and row.since > 0 then since = row.since end
  elseif row.ends <= now then
    redis.call('HDEL', rows, all[i])
  else
    held = held + row.held
    for name, size in pairs(row.sizes) do if sizes[name] and size > sizes[name] then sizes[name] = size end end
    if row.since > 0 then others[#others + 1] = { id = all[i], row = row } end
  end
end
local before, keptRequests, keptTokens = 0, 0, 0
for _, one in ipairs(others) do
  local row = one.row
  if row.since < since or (row.since == since and one.id < m.from) then
    before = before + 1
    if not row.again then keptRequests = keptRequests + 1; keptTokens = keptTokens + row.tokens end
  end
end

-- Windows: what has left them is gone.
local windows = {}
for i, w in ipairs(m.windows) do
  local set, amounts = KEYS[2 + 2 * i], KEYS[3 + 2 * i]
  local size = sizes[w.name]
  while true do
    local old = redis.call('ZRANGEBYSCORE', set, '-inf', text(now - size), 'LIMIT', 0, 1000)
    if #old == 0 then break end
    local gone = 0
    for _, n in ipairs(redis.call('HMGET', amounts, unpack(old))) do gone = gone + tonumber(n or 0) end
    redis.call('HDEL', amounts, unpack(old))
    redis.call('ZREM', set, unpack(old))
    redis.call('HINCRBY', amounts, 's', text(0 - gone))
  end
  windows[i] = { w = w, size = size, set = set, amounts = amounts, isRequests = w.kind == 'requests' }
end
local function sum(window) return tonumber(redis.call('HGET', window.amounts, 's') or 0) end
local function change(window, at, amount, take)
  if amount == 0 then return end
  -- Processes are a little ahead; nothing is far ahead.
  if at > now + 5000 then at = now + 5000 end
  if at <= now - window.size then return end
  local grain = text(math.floor(at / window.w.grain))
  local has = tonumber(redis.call('HGET', window.amounts, grain) or -1)
  if has < 0 then
    if not take then return end
    has = 0
  end
  if amount + has < 0 then amount = 0 - has end
  redis.call('HSET', window.amounts, grain, text(has + amount))
  redis.call('HINCRBY', window.amounts, 's', text(amount))
  if take then
    local old = tonumber(redis.call('ZSCORE', window.set, grain) or -1)
    if at > old then redis.call('ZADD', window.set, text(at), grain) end
    redis.call('PEXPIRE', window.set, text(2 * window.size))
    redis.call('PEXPIRE', window.amounts, text(2 * window.size))
  end
end
for _, one in ipairs(m.changes) do
  for _, window in ipairs(windows) do
    change(window, one.at, window.isRequests and one.requests or one.tokens, one.take)
  end
end

-- What providers say that others use.
for _, window in ipairs(windows) do
  local name = window.w.name
  local foreign = redis.call('HMGET', state, 'foreign:' .. name, 'until:' .. name)
  local amount, till = tonumber(foreign[1] or 0), tonumber(foreign[2] or 0)
  if till <= now then amount = 0 end
  for _, told in ipairs(m.told) do
    if told.name == name then
      local missing = window.w.max - sum(window) - amount - math.min(told.left, window.w.max)
      amount = math.max(0, amount + missing)
      if missing > 0 then till = math.max(till, now + math.min(told.ms, window.size)) end
      redis.call('HSET', state, 'foreign:' .. name, text(amount), 'until:' .. name, text(till))
    end
  end
  if till <= now then amount = 0 end
  window.foreign, window.till = amount, till
end
if m.hold > 0 then hold = math.max(hold, now + m.hold) end

-- When so much is back that amount fits.
local function opensIn(window, amount)
  local over = sum(window) + window.foreign + amount - window.w.max
  local foreign, from = window.foreign, 0
  while over > 0 do
    local some = redis.call('ZRANGE', window.set, from, from + 99, 'WITHSCORES')
    if #some == 0 then break end
    for i = 1, #some, 2 do
      local at = tonumber(some[i + 1]) + window.size
      if foreign > 0 and window.till <= at then
        over, foreign = over - foreign, 0
        if over <= 0 then return window.till - now end
      end
      over = over - tonumber(redis.call('HGET', window.amounts, some[i]) or 0)
      if over <= 0 then return at - now end
    end
    from = from + 100
  end
  if over > 0 and foreign > 0 and over <= foreign then return window.till - now end
  return over > 0 and window.size or 0
end

local granted, wait = 0, 0
local ask = m.ask
if ask then
  granted = ask.count
  local function no(ms) granted = 0; wait = math.max(wait, ms, 1) end
  if not ask.again then
    if hold > now then no(hold - now) end
    for _, window in ipairs(windows) do
      local need = math.min(window.isRequests and 1 or ask.tokens, window.w.max)
      local kept = window.isRequests and keptRequests or keptTokens
      local free = window.w.max - sum(window) - window.foreign - kept
      if need > free then no(opensIn(window, need + kept))
      elseif need > 0 then granted = math.min(granted, math.floor(free / need)) end
    end
    if m.gap > 0 then
      if now < nextStart then no(nextStart - now + before * m.gap)
      elseif before > 0 then no(before * m.gap)
      else granted = math.min(granted, 1) end
    end
  end
  if m.places > 0 then
    local free = m.places - held - before
    if free < 1 then no(math.min(25 * (before + 1), 250)) else granted = math.min(granted, free) end
  end
  if granted > 0 and not ask.again then
    for _, window in ipairs(windows) do change(window, now, granted * (window.isRequests and 1 or ask.tokens), true) end
    if m.gap > 0 then nextStart = now + m.gap end
  end
end

local waits = ask and granted == 0
if waits or m.held + granted > 0 then
  local own = {}
  for _, w in ipairs(m.windows) do own[w.name] = w.size end
  redis.call('HSET', rows, m.from, cjson.encode({ ends = now + ${lease}, held = m.held + granted, since = waits and since or 0,
    again = ask and ask.again or false, tokens = ask and ask.tokens or 0, sizes = own }))
else
  redis.call('HDEL', rows, m.from)
end
redis.call('PEXPIRE', rows, 3600000)
redis.call('HSET', state, 'last', text(now), 'behind', text(behind), 'hold', text(hold), 'next', text(nextStart))
redis.call('PEXPIRE', state, 172800000)
local used = {}
for _, window in ipairs(windows) do used[window.w.name] = sum(window) + window.foreign end
local answer = cjson.encode({ now = now, granted = granted, wait = math.ceil(wait), hold = math.max(0, hold - now), inUse = held + granted, used = used })
redis.call('SET', mine, text(m.seq) .. ' ' .. answer, 'PX', 3600000)
return answer`;
