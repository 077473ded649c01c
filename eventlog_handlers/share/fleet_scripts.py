"""The scripts that Redis runs for a fleet: the rules of ``pace``, ``allowance``, ``problems`` in Lua. Pure.

Each script is put together from parts: KEYS, CLOCK, then the rules it needs, then its own lines. A script
with PACE can give a place and do more in the same step. All of them get one key, the prefix, and name
everything else with its hash tag. All moments are the server's: clocks of hosts never meet.

Numbers that have a fraction, or more than 14 digits, are written with ``%.6f`` or ``%.0f``: Lua's own text
would round them, and an answer would lose its fraction.

Longer than other files: the scripts share their parts, and a reader who compares them with the rules in
Python wants them in one place.
"""

from __future__ import annotations

from eventlog_handlers.errors import HINT_CEILING_SECONDS

SCHEMA = 1

KEYS = """
local prefix = KEYS[1]
local function text(number) return string.format('%.6f', number) end
local function whole(number) return string.format('%.0f', number) end
local function num(value) return tonumber(value or '0') end
"""

CEILING = f"local hint_ceiling = {HINT_CEILING_SECONDS:g}\n"

CLOCK = """
local function read_clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
local now = read_clock()
"""

PACE = """
local pace_key, ring_key = prefix .. 'pace', prefix .. 'ring'
local function read_pace()
  local v = redis.call('HMGET', pace_key, 'full_at', 'not_before', 'slowdown')
  return {full_at = num(v[1]), not_before = num(v[2]), slowdown = tonumber(v[3] or '1')}
end
local function write_pace(pace)
  redis.call('HSET', pace_key, 'full_at', text(pace.full_at), 'not_before', text(pace.not_before),
    'slowdown', text(pace.slowdown))
  redis.call('EXPIRE', pace_key, 7200)
end
local function at_slowdown(pace, slowdown)
  local debt = math.max(0, pace.full_at - now) * pace.slowdown / slowdown
  pace.full_at, pace.slowdown = now + debt, slowdown
end
-- The moment of the next place. limits: rate, burst, count and seconds of the window (count 0: none).
local function earliest(pace, limits)
  local at = pace.full_at - (limits.burst - 1) / (limits.rate * pace.slowdown)
  at = math.max(at, math.min(pace.not_before, now + hint_ceiling))
  if limits.count > 0 then
    local oldest = redis.call('LINDEX', ring_key, -limits.count)
    if oldest then at = math.max(at, math.min(tonumber(oldest), now + 5) + limits.seconds) end
  end
  local last = redis.call('LINDEX', ring_key, -1)
  if last and tonumber(last) > now and tonumber(last) <= now + 5 then at = math.max(at, tonumber(last)) end
  if at <= now + 0.00001 then at = now end
  return at
end
local function take(pace, limits, at)
  pace.full_at = math.max(pace.full_at, at) + 1 / (limits.rate * pace.slowdown)
  write_pace(pace)
  redis.call('RPUSH', ring_key, text(at))
  redis.call('LTRIM', ring_key, -1024, -1)
  redis.call('EXPIRE', ring_key, math.ceil(limits.seconds) + 3600)
  redis.call('HINCRBY', prefix .. 'stats', 'taken', 1)
end
-- Who asked in the last ARGV seconds; an asker counts itself in.
local function members(who, seconds)
  local key = prefix .. 'members'
  redis.call('ZADD', key, text(now), who)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now - seconds))
  redis.call('EXPIRE', key, 86400)
  return redis.call('ZCARD', key)
end
local function read_limits(at)
  return {rate = tonumber(ARGV[at]), burst = tonumber(ARGV[at + 1]), count = tonumber(ARGV[at + 2]),
    seconds = tonumber(ARGV[at + 3])}
end
"""

TAKE_OWN = """
local limits, must, ahead = read_limits(1), ARGV[5] == '1', tonumber(ARGV[6])
local here = members(ARGV[7], tonumber(ARGV[8]))
local pace = read_pace()
local at = earliest(pace, limits)
if must then at = now end
if at > now + ahead then
  return {0, text(at - now), text(at), here, text(pace.slowdown)}
end
take(pace, limits, at)
return {1, text(at - now), text(at), here, text(pace.slowdown)}
"""

THROTTLED_OWN = """
local limits, after = read_limits(1), tonumber(ARGV[5])
local pace = read_pace()
local not_before = pace.not_before
at_slowdown(pace, math.max(0.0625, pace.slowdown / 2))
pace.full_at = math.max(pace.full_at, now + (limits.burst - 1) / (limits.rate * pace.slowdown))
if after >= 0 then pace.not_before = math.max(not_before, now + math.min(after, hint_ceiling)) end
write_pace(pace)
redis.call('HINCRBY', prefix .. 'stats', 'throttled', 1)
return text(pace.slowdown)
"""

ANSWERED_OWN = """
local pace = read_pace()
if pace.slowdown < 1 then
  at_slowdown(pace, math.min(1, pace.slowdown + 0.05))
  write_pace(pace)
end
return text(pace.slowdown)
"""

CHARGE_OWN = """
-- ARGV: one character per event (1: critical), then name, seconds, limit and reserve of each budget.
local budgets = {}
for at = 2, #ARGV, 4 do
  local one = {period = ARGV[at], seconds = tonumber(ARGV[at + 1]), limit = tonumber(ARGV[at + 2]),
    kept = tonumber(ARGV[at + 3]), key = prefix .. 'b:' .. ARGV[at]}
  local v = redis.call('HMGET', one.key, 'since', 'spent', 'critical')
  one.since, one.spent, one.critical = tonumber(v[1] or '-1'), num(v[2]), num(v[3])
  if one.since < 0 or now < one.since or now >= one.since + one.seconds then
    one.since, one.spent, one.critical = -1, 0, 0
  end
  budgets[#budgets + 1] = one
end
local answers, charged = {}, false
for index = 1, #ARGV[1] do
  local critical = ARGV[1]:sub(index, index) == '1'
  local lacking, latest = '', 0
  for _, one in ipairs(budgets) do
    local room = one.limit
    if not critical then room = room - one.kept end
    local left = one.since + one.seconds - now
    if one.since >= 0 and one.spent + 1 > room and left > latest then
      latest = left
      lacking = one.limit .. '|' .. one.period .. '|' .. text(one.since - now) .. '|' .. text(left)
    end
  end
  answers[index] = lacking
  if lacking == '' then
    charged = true
    for _, one in ipairs(budgets) do
      if one.since < 0 then one.since = now end
      one.spent = one.spent + 1
      if critical then one.critical = one.critical + 1 end
    end
  end
end
if charged then
  for _, one in ipairs(budgets) do
    redis.call('HSET', one.key, 'since', text(one.since), 'spent', whole(one.spent), 'critical',
      whole(one.critical))
    redis.call('EXPIRE', one.key, math.ceil(one.seconds))
  end
end
return answers
"""

FOLDS = """
local folds_key = prefix .. 'folds'
local LONGEST = 900
local function read_entry(problem)
  local v = redis.call('HMGET', prefix .. 'f:' .. problem, 'due', 'number', 'window', 'count', 'first',
    'last', 'early', 'telling', 'tnumber', 'tfirst', 'tlast', 'until', 'teller')
  if not v[1] then return nil end
  return {due = num(v[1]), number = num(v[2]), window = num(v[3]), count = num(v[4]), first = num(v[5]),
    last = num(v[6]), early = num(v[7]), telling = num(v[8]), tnumber = num(v[9]), tfirst = num(v[10]),
    tlast = num(v[11]), lease = num(v[12]), teller = v[13] or ''}
end
local function write_entry(problem, e)
  local key = prefix .. 'f:' .. problem
  redis.call('HSET', key, 'due', text(e.due), 'number', whole(e.number), 'window', text(e.window),
    'count', whole(e.count), 'first', text(e.first), 'last', text(e.last), 'early', e.early,
    'telling', whole(e.telling), 'tnumber', whole(e.tnumber), 'tfirst', text(e.tfirst),
    'tlast', text(e.tlast), 'until', text(e.lease), 'teller', e.teller)
  if e.count > 0 or e.telling > 0 then
    redis.call('PERSIST', key)  -- a count that nobody has told never expires
  else
    redis.call('EXPIRE', key, math.ceil(math.max(0, e.due - now) + e.window + 1))
  end
  local score = e.due
  if e.telling > 0 then score = e.lease end
  redis.call('ZADD', folds_key, text(score), problem)
end
local function next_window(e, setting)
  e.window = math.min(2 * e.window, math.max(LONGEST, setting))
  e.number, e.due, e.early = e.number + 1, now + e.window, 0
end
"""

FOLD_ONE = """
-- What becomes of an occurrence: 'o' it is sent and opens a window, 's' it is sent, 'c' it was counted; and
-- the seconds until its window ends.
local function fold(problem, count, first, last, setting, cap)
  local e = read_entry(problem)
  if not e then
    if redis.call('ZCARD', folds_key) >= cap then
      for _, other in ipairs(redis.call('ZRANGEBYSCORE', folds_key, '-inf', text(now), 'LIMIT', 0, 10)) do
        local known = read_entry(other)
        if not known or known.count + known.telling == 0 then redis.call('ZREM', folds_key, other) end
      end
      if redis.call('ZCARD', folds_key) >= cap then return 's', setting end
    end
    e = {number = math.floor(now * 1000), due = now + setting, window = setting, count = 0, first = 0,
      last = 0, early = 0, telling = 0, tnumber = 0, tfirst = 0, tlast = 0, lease = 0, teller = ''}
    write_entry(problem, e)
    redis.call('HINCRBY', prefix .. 'stats', 'opened', 1)
    return 'o', setting
  end
  e.due = math.min(e.due, now + math.max(LONGEST, setting, e.window))
  if now >= e.due and e.count == 0 then
    if e.early == 0 then
      local window, quiet = e.window / 2, now - e.due
      while window > setting and quiet >= window do
        quiet = quiet - window
        window = window / 2
      end
      e.window = math.max(window, setting)
      e.number, e.due = math.max(math.floor(now * 1000), e.number + 1), now + e.window
      write_entry(problem, e)
      redis.call('HINCRBY', prefix .. 'stats', 'opened', 1)
      return 'o', e.window
    end
    next_window(e, setting)
  end
  if e.count > 0 then
    e.first, e.last = math.min(e.first, first), math.max(e.last, last)
  else
    e.first, e.last = first, last
  end
  e.count = e.count + count
  write_entry(problem, e)
  redis.call('HINCRBY', prefix .. 'stats', 'counted', count)
  return 'c', math.max(0, e.due - now)
end
"""

FOLD_OWN = """
-- ARGV: member, number of this call, first window, cap, then problem, count, first, last of each occurrence.
-- A call whose answer was lost is made again with its number, and is answered as it was then.
local call_key = prefix .. 'call:' .. ARGV[1]
local before = redis.call('HMGET', call_key, 'number', 'answer', 'wait')
if before[1] == ARGV[2] then return {before[2], before[3]} end
local answer, wait = '', 86400
for at = 5, #ARGV, 4 do
  local verdict, left = fold(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[3]), tonumber(ARGV[4]))
  answer = answer .. verdict
  if verdict == 'c' then wait = math.min(wait, left) end
end
redis.call('HSET', call_key, 'number', ARGV[2], 'answer', answer, 'wait', text(wait))
redis.call('EXPIRE', call_key, 3600)
return {answer, text(wait)}
"""

TELL_OWN = """
-- ARGV: member, first window, everything, seconds of a lease, at most so many, then problem and number of
-- each summary that the member already tells.
local who, setting, all, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
for at = 6, #ARGV, 2 do
  local e = read_entry(ARGV[at])
  if e and e.telling > 0 and e.tnumber == tonumber(ARGV[at + 1]) and e.teller == who then
    e.lease = now + lease
    write_entry(ARGV[at], e)
  end
end
local found
if all then
  found = redis.call('ZRANGE', folds_key, 0, -1)  -- the first ones may have nothing more to tell
else
  found = redis.call('ZRANGEBYSCORE', folds_key, '-inf', text(now), 'LIMIT', 0, tonumber(ARGV[5]))
end
local answer = {}
for _, problem in ipairs(found) do
  if #answer >= tonumber(ARGV[5]) then break end
  local e = read_entry(problem)
  if not e then
    redis.call('ZREM', folds_key, problem)
  else
    local is_due = false
    if e.telling > 0 then
      is_due = now >= e.lease or e.lease > now + lease
    elseif e.count > 0 and (all or now >= e.due) then
      is_due = true
      e.telling, e.tnumber, e.tfirst, e.tlast, e.count = e.count, e.number, e.first, e.last, 0
      if now >= e.due then
        next_window(e, setting)
      else
        e.number, e.early = e.number + 1, 1
      end
    elseif e.count == 0 and now >= e.due then
      redis.call('ZREM', folds_key, problem)  -- quiet: the hash stays for the length of its next window
    end
    if is_due then
      e.lease, e.teller = now + lease, who
      write_entry(problem, e)
      answer[#answer + 1] = {problem, whole(e.tnumber), whole(e.telling), text(e.tfirst), text(e.tlast)}
    end
  end
end
return answer
"""

TOLD_OWN = """
for at = 1, #ARGV, 2 do
  local e = read_entry(ARGV[at])
  if e and e.telling > 0 and e.tnumber == tonumber(ARGV[at + 1]) then
    redis.call('HINCRBY', prefix .. 'stats', 'told', e.telling)
    e.telling, e.lease, e.teller = 0, 0, ''
    write_entry(ARGV[at], e)
  end
end
return 1
"""

SUMS_OWN = """
local open, telling, problems = 0, 0, 0
for _, problem in ipairs(redis.call('ZRANGE', folds_key, 0, -1)) do
  local e = read_entry(problem)
  if e then
    problems, open, telling = problems + 1, open + e.count, telling + e.telling
  end
end
local v = redis.call('HMGET', prefix .. 'stats', 'counted', 'told')
return {whole(problems), v[1] or '0', v[2] or '0', whole(open), whole(telling)}
"""

PUBLISH_OWN = """
-- ARGV: member, its counters as JSON, seconds after which a silent member is forgotten, seconds after which
-- a silent process is no longer here, its id. Answers how many processes are here.
local key, seen = prefix .. 'counters', prefix .. 'seen'
redis.call('HSET', key, ARGV[1], ARGV[2])
redis.call('ZADD', seen, text(now), ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', text(now - tonumber(ARGV[3])))) do
  redis.call('HDEL', key, gone)
  redis.call('ZREM', seen, gone)
end
local here = prefix .. 'processes'
redis.call('ZADD', here, text(now), ARGV[5])
redis.call('ZREMRANGEBYSCORE', here, '-inf', text(now - tonumber(ARGV[4])))
for _, one in ipairs({key, seen, here}) do redis.call('EXPIRE', one, 86400) end
return redis.call('ZCARD', here)
"""

MEMBERS_OWN = """
local answer = {}
local counters = redis.call('HGETALL', prefix .. 'counters')
for at = 1, #counters, 2 do
  local quiet = now - num(redis.call('ZSCORE', prefix .. 'seen', counters[at]))
  answer[#answer + 1] = {counters[at], counters[at + 1], text(quiet)}
end
return answer
"""


class Scripts:
    """The scripts' texts over one *clock*: the server's, or in tests one that is set by hand."""

    def __init__(self, clock: str = CLOCK) -> None:
        begin = KEYS + CEILING + clock
        self.take = begin + PACE + TAKE_OWN
        self.throttled = begin + PACE + THROTTLED_OWN
        self.answered = begin + PACE + ANSWERED_OWN
        self.charge = begin + CHARGE_OWN
        self.fold = begin + FOLDS + FOLD_ONE + FOLD_OWN
        self.tell = begin + FOLDS + TELL_OWN
        self.told = begin + FOLDS + TOLD_OWN
        self.sums = begin + FOLDS + SUMS_OWN
        self.publish = begin + PUBLISH_OWN
        self.members = begin + MEMBERS_OWN


def prefix(queue: str) -> str:
    """The beginning of all keys of *queue*. One hash tag: they stand on one server."""
    return f"evh:{SCHEMA}:{{{queue}}}:"
