#!lua
-- The rate budget of one remote in one atomic step: hand in reports, then take places. Called by budget.py only.
--
-- memory.py says the same in Python, with the same names; a test drives both through the same random histories.
--
-- KEYS[1]  hash: what was learned about the remote, and which lanes wait
-- KEYS[2]  sorted set: ticket -> the last moment at which the remote can have counted that call.
--          A ticket holds its place in a window until that moment plus the window's length.
-- ARGV[1]  JSON of rules.Rules
-- ARGV[2]  JSON {lane, want, spread, reports: [[ticket, ending, age, retry_after], ...]}
--
-- All times are microseconds on this server's clock. A ticket is a number: the time it was issued, made unique.
-- The first line makes Redis refuse the whole script when it cannot write (out of memory, a replica), so that
-- nothing is half done.

local rules, ask = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local s = {
  last = 0,                                        -- newest ticket
  share = rules.whole, share_at = 0,               -- learned share of the limit, and since when it grows
  paused_until = 0, strikes = 0, cut_after = 0,    -- 429: newest ticket when we last learned from one
  failures = 0, probe = 0, probe_at = 0, probes = 0,
  waiting_1 = 0, waiting_2 = 0, waiting_3 = 0,     -- a lane counts as waiting until then
  paid_1 = 0, paid_2 = 0, paid_3 = 0,              -- up to when a lane has had its trickle
}
local saved = redis.call('HGETALL', KEYS[1])
for i = 1, #saved, 2 do s[saved[i]] = tonumber(saved[i + 1]) end

if now > s.share_at then
  s.share = math.min(rules.whole, s.share + (now - s.share_at) * rules.growth)
  s.share_at = now
end

local function delay(step)
  local curve = rules.first_delay * 2 ^ math.min(step - 1, 30)
  return math.floor(math.min(rules.longest_delay, curve) * (0.5 + ask.spread / 2))
end

local function pause(till)
  s.paused_until = math.max(s.paused_until, till)
  s.share_at = math.max(s.share_at, s.paused_until)
end

local function let_probe_out(at) s.probe, s.probe_at = 0, at end

-- Reports ------------------------------------------------------------------------------------------------------

-- A call sent before we last learned of a limit says nothing new about it: one burst, one lesson.
local function is_news(ticket) return ticket > s.cut_after end

local function failed(ticket)
  s.failures = s.failures + 1
  -- Calls that were under way when the breaker opened may fail as they like; only the probe counts.
  if s.failures == rules.failures_to_open or ticket == s.probe then
    s.probes = s.probes + 1
    let_probe_out(now + delay(s.probes))
  end
end

local ended = {failed = failed, unknown = failed}

function ended.answered(ticket)
  s.failures, s.probes = 0, 0
  let_probe_out(0)
  if is_news(ticket) then s.strikes = 0 end
end

function ended.limited(ticket, retry_after)
  if ticket == s.probe then let_probe_out(now) end
  if not is_news(ticket) then return end
  s.cut_after = s.last
  s.strikes = s.strikes + 1
  s.share = math.max(rules.smallest_share, math.floor(s.share * rules.cut))
  if retry_after == 0 then pause(now + delay(s.strikes)) end
end

function ended.unsent(ticket)
  if ticket == s.probe then let_probe_out(now) end
end

for _, report in ipairs(ask.reports) do
  local ticket, ending, age, retry_after = unpack(report)
  if ending == 'unsent' then
    redis.call('ZREM', KEYS[2], ticket)
  elseif ending ~= 'unknown' then
    redis.call('ZADD', KEYS[2], now - age, ticket)
  end
  if retry_after > 0 then pause(now - age + retry_after) end
  ended[ending](ticket, retry_after)
end

-- Places -------------------------------------------------------------------------------------------------------

local spans, used, limits, free = rules.spans, {}, {}, math.huge
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - spans[#spans].length)
local taken = redis.call('ZCARD', KEYS[2])
for i, span in ipairs(spans) do
  limits[i] = span.limit
  if i == 1 and s.share < rules.whole then
    limits[i] = math.max(1, math.min(span.limit, math.floor(s.share / rules.whole * rules.pace + 0.5)))
  end
  used[i] = redis.call('ZCOUNT', KEYS[2], string.format('(%.0f', now - span.length), '+inf')
  free = math.min(free, limits[i] - used[i])
end

-- When one more place can be free in every window. A call under way frees its place one window after its answer,
-- so never sooner than one window from now.
local function until_place()
  local wait = 0
  for i, span in ipairs(spans) do
    local oldest = taken - limits[i]
    if oldest >= 0 then
      local counted = redis.call('ZRANGE', KEYS[2], oldest, oldest, 'WITHSCORES')[2]
      wait = math.max(wait, math.min(counted, now) + span.length - now)
    end
  end
  return wait
end

local trickle = math.ceil(rules.trickle / (s.share / rules.whole))

local function owed(lane)
  return math.min(rules.trickle_saved, math.floor((now - s['paid_' .. lane]) / trickle))
end

local function pay(lane, places)
  local since = math.max(s['paid_' .. lane], now - rules.trickle_saved * trickle)
  s['paid_' .. lane] = math.min(now, since + places * trickle)
end

-- Strict order while a higher lane waits, but each waiting lower lane gets its trickle.
local higher = 0
for lane = 1, 3 do
  if s['waiting_' .. lane] > now then
    if lane < ask.lane then higher = math.max(higher, s['waiting_' .. lane]) end
    if lane > ask.lane then free = free - owed(lane) end
  end
end
if higher > 0 then free = math.min(free, owed(ask.lane)) end

local function until_turn()
  if higher == 0 then return rules.yield_to_lane end
  return math.max(rules.yield_to_lane, math.min(higher, s['paid_' .. ask.lane] + trickle) - now)
end

local function take(places)
  local first = math.max(s.last + 1, now)
  for from = 0, places - 1, 1000 do
    local entries = {}
    for ticket = first + from, first + math.min(places, from + 1000) - 1 do
      entries[#entries + 1] = now + rules.hold
      entries[#entries + 1] = ticket
    end
    redis.call('ZADD', KEYS[2], unpack(entries))
  end
  taken = taken + places
  s.last = first + places - 1
  pay(ask.lane, places)
  return first
end

-- The answer ---------------------------------------------------------------------------------------------------

local open = s.failures >= rules.failures_to_open
local granted, first, wait, why = 0, 0, 0, ''

if s.paused_until > now then
  wait, why = s.paused_until - now, 'backoff'
elseif open and s.probe_at > now then
  wait, why = s.probe_at - now, 'breaker'
else
  local want = open and math.min(ask.want, 1) or ask.want
  granted = math.max(0, math.min(free, want))
  if granted > 0 then first = take(granted) end
  if granted > 0 and open then s.probe, s.probe_at = first, now + rules.hold end
  if granted < want then
    wait, why = until_place(), 'budget'
    if wait == 0 then wait = until_turn() end
  elseif granted < ask.want then
    wait, why = s.probe_at - now, 'breaker'
  end
end
-- A probe under way may close the breaker at any moment.
if why == 'breaker' and s.probe > 0 then wait = math.min(wait, rules.look_again) end

if ask.want > 0 then
  local back_in = why == 'backoff' and wait or math.min(wait, rules.look_again)
  s['waiting_' .. ask.lane] = granted < ask.want and now + back_in + rules.waiting_slack or 0
end

if ask.want > 0 or #ask.reports > 0 then
  local fields = {}
  for name, value in pairs(s) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  local keep = math.ceil((rules.keep + math.max(0, s.paused_until - now)) / 1000)
  redis.call('HSET', KEYS[1], unpack(fields))
  redis.call('PEXPIRE', KEYS[1], keep)
  redis.call('PEXPIRE', KEYS[2], keep)
end

return {
  granted, first, wait, why, used, limits,
  s.share,
  math.max(0, s.paused_until - now),
  open and math.max(0, s.probe_at - now) or -1,
}
