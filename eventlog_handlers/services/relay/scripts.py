"""The scripts that Redis runs for a queue: put, claim, renew, settle, hand back, register. Pure.

They are put together from the parts of ``share.fleet_scripts`` and get one key, the queue's prefix. A queue
has

    s0 … s3            streams by severity, with one consumer group
    v<version>:s0 …    entries of a form that no relay here can read: they wait
    f:<problem>, folds problems and their counts, as in ``share.fleet_scripts``
    put:<caller>:<n>   ids of the events that were put by the n-th call of one sender
    dead               a stream of the last 1,000 events that were given up, with the reason
    relays, cards      who serves the queue (heard of in the last 30 s), and what it says of itself
    destination        where the queue leads
    stats              sums

A full server refuses the first write of a script and no later one: that is why each begins with a write that
it may refuse, or has none of those.
"""

from __future__ import annotations

from eventlog_handlers.share.fleet_scripts import CLOCK, FOLD_ONE, FOLDS, KEYS

GROUP = "relays"
RETURNED = "returned"
"""The consumer that holds what a relay gave back at its end."""
MAX_DEAD = 1_000
HERE_SECONDS = 30.0
"""A relay that was not heard of for so long is gone."""

_STREAMS = """
local function stream(class) return prefix .. 's' .. class end
local function make_group(class)
  redis.pcall('XGROUP', 'CREATE', stream(class), '@GROUP@', '0', 'MKSTREAM')
end
local function add_stats(name, count)
  if count > 0 then redis.call('HINCRBY', prefix .. 'stats', name, count) end
end
"""

PUT_OWN = """
-- ARGV: caller, number of this call, settled calls ('1,2'), first window of a problem (0: nothing is folded),
-- problems and entries at most, version, seconds for which the ids of this call stay (as long as its sender
-- keeps events); then for each event: id, calls that may have put it ('1,2'), class,
-- problem, count, first, last, fingerprint, body. One letter for each: 'o' and 's' it is in a stream, 'c' it
-- was counted, 'p' one of those calls had put it, 'f' there is no room.
local caller, setting, problems, capacity = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local function call_key(number) return prefix .. 'put:' .. caller .. ':' .. number end
local function remember(key, word)
  redis.call('SADD', key, word)
  redis.call('EXPIRE', key, ARGV[8])
end
local own = call_key(ARGV[2])
-- Its sender took the answer for lost and has put the events by a later call: too late for this one.
if redis.call('SISMEMBER', own, 'void') == 1 then return '' end
remember(own, 'call')
for number in ARGV[3]:gmatch('[^,]+') do redis.call('DEL', call_key(number)) end
local length = 0
for class = 0, 3 do length = length + redis.call('XLEN', stream(class)) end
-- Whether fold would only count it.
local function is_counted(problem)
  local e = read_entry(problem)
  return e and not (now >= e.due and e.count == 0 and e.early == 0)
end
local function was_put(id, calls)
  for number in calls:gmatch('[^,]+') do
    local key = call_key(number)
    if redis.call('SISMEMBER', key, id) == 1 then return true end
    if redis.call('SISMEMBER', key, 'call') == 0 then remember(key, 'void') end
  end
  return false
end
local answer, put, counted = '', 0, 0
for at = 9, #ARGV, 9 do
  local id, problem, count, body = ARGV[at], ARGV[at + 3], tonumber(ARGV[at + 4]), ARGV[at + 8]
  local verdict = 's'
  if was_put(id, ARGV[at + 1]) then
    verdict = 'p'
  elseif length >= capacity and not (setting > 0 and is_counted(problem)) then
    verdict = 'f'
  else
    if setting > 0 then
      verdict = fold(problem, count, tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), setting, problems)
    end
    redis.call('SADD', own, id)
    if verdict == 'c' then
      counted = counted + 1
    else
      -- Here, because a server that has become full would not make it for the relay that is to drain it.
      if redis.call('EXISTS', stream(ARGV[at + 2])) == 0 then make_group(ARGV[at + 2]) end
      redis.call('XADD', stream(ARGV[at + 2]), '*', 'v', ARGV[7], 'fp', ARGV[at + 7], 'n', ARGV[at + 4],
        'b', body)
      length, put = length + 1, put + 1
      if verdict == 'o' and #body <= 65536 then
        redis.call('SET', prefix .. 'f:' .. problem .. ':sample', body, 'EX', 604800)
      end
    end
  end
  answer = answer .. verdict
end
add_stats('put', put)
add_stats('folded', counted)
return answer
"""

_ENTRIES = """
local group, me = '@GROUP@', ARGV[1]
local function is_missing(answer) return type(answer) == 'table' and answer.err ~= nil end
local function fields_of(list)
  local fields = {}
  for at = 1, #list, 2 do fields[list[at]] = list[at + 1] end
  return fields
end
local function remove(class, id)
  redis.pcall('XACK', stream(class), group, id)
  return redis.call('XDEL', stream(class), id)
end
local function bury(class, id, reason)
  local entry = redis.call('XRANGE', stream(class), id, id)[1]
  if not entry then return nil end
  local fields = fields_of(entry[2])
  remove(class, id)  -- first: a full server lets entries go, and then takes what follows
  redis.call('XADD', prefix .. 'dead', 'MAXLEN', @DEAD@, '*', 'reason', reason, 'class', class, 'put', id,
    'v', fields.v or '', 'b', fields.b or '')
  return fields
end
-- When the queue was made: another moment after the server was flushed.
local function born()
  local moment = redis.call('HGET', prefix .. 'stats', 'born')
  if not moment then
    moment = text(now)
    if is_missing(redis.pcall('HSET', prefix .. 'stats', 'born', moment)) then return '' end
  end
  return moment
end
"""

CLAIM_OWN = """
-- ARGV: relay, so many at most, seconds after which another relay's entries are taken over, deliveries after
-- which an entry is given up, versions that can be read. Answers when the queue was made, then for each
-- entry: class, id, deliveries (this one included; 0: it is in ``dead``), age in seconds, body. The severest
-- first.
local room, idle, most = tonumber(ARGV[2]), math.floor(tonumber(ARGV[3]) * 1000), tonumber(ARGV[4])
local readable = {}
for version in ARGV[5]:gmatch('[^,]+') do readable[version] = true end
local answer = {born()}
local function take(class, id, list, deliveries)
  local fields = fields_of(list)
  local version = fields.v or ''
  local moment = tonumber(fields.at or id:match('^%d+'))
  if not readable[version] then
    local parked = prefix .. 'v' .. version:sub(1, 20) .. ':s' .. class
    redis.call('XADD', parked, '*', 'at', whole(moment), unpack(list))
    remove(class, id)
    add_stats('parked', 1)
    return
  end
  answer[#answer + 1] = {class, id, deliveries, text(math.max(0, now - moment / 1000)), fields.b or ''}
  room = room - 1
end
for class = 0, 3 do
  if room <= 0 then break end
  local key = stream(class)
  -- XPENDING and XCLAIM do what XAUTOCLAIM does, and say how often an entry was delivered.
  local pending = redis.pcall('XPENDING', key, group, 'IDLE', idle, '-', '+', room)
  if is_missing(pending) then
    make_group(class)
    pending = {}
  end
  for _, row in ipairs(pending) do
    local id, deliveries = row[1], row[4]
    if deliveries >= most then
      local fields = bury(class, id, 'every relay that had it was killed')
      if not fields then
        remove(class, id)
      else
        add_stats('dead', 1)
        answer[#answer + 1] = {class, id, 0, '0', fields.b or ''}
      end
    else
      local claimed = redis.call('XCLAIM', key, group, me, idle, id)[1]
      if claimed then take(class, claimed[1], claimed[2], deliveries + 1) else remove(class, id) end
    end
  end
  if room > 0 then
    local read = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', room, 'STREAMS', key, '>')
    if read and not is_missing(read) then
      for _, entry in ipairs(read[1][2]) do take(class, entry[1], entry[2], 1) end
    end
  end
end
return answer
"""

RENEW_OWN = """
-- ARGV: relay, then class and id of each entry. Answers when the queue was made, and a digit for each: 1 if
-- it is this relay's, whose time begins anew.
local answer = ''
for at = 2, #ARGV, 2 do
  local class, id = ARGV[at], ARGV[at + 1]
  local pending = redis.pcall('XPENDING', stream(class), group, id, id, 1)
  if not is_missing(pending) and pending[1] and pending[1][2] == me then
    redis.call('XCLAIM', stream(class), group, me, 0, id, 'JUSTID')
    answer = answer .. '1'
  else
    answer = answer .. '0'
  end
end
return {born(), answer}
"""

SETTLE_OWN = """
-- ARGV: relay, then class, id, reason ('': delivered) and whether it is kept in ``dead`` of each entry.
local delivered, dead, dropped, reasons = 0, 0, 0, {}
for at = 2, #ARGV, 4 do
  local class, id, reason = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if ARGV[at + 3] == '1' and bury(class, id, reason) then
    dead, dropped = dead + 1, dropped + 1
  else
    local was_there = remove(class, id)
    if reason == '' then delivered = delivered + was_there else dropped = dropped + was_there end
  end
end
add_stats('delivered', delivered)
add_stats('dead', dead)
add_stats('dropped', dropped)
return delivered + dropped
"""

HAND_BACK_OWN = """
-- ARGV: relay, then class, id and deliveries of each entry that it had and did not settle: the next relay
-- that claims gets them at once, and the delivery does not count. Answers how many that were.
local returned = 0
for at = 2, #ARGV, 3 do
  local class, id, deliveries = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local pending = redis.pcall('XPENDING', stream(class), group, id, id, 1)
  if not is_missing(pending) and pending[1] and pending[1][2] == me then
    redis.call('XCLAIM', stream(class), group, '@RETURNED@', 0, id, 'IDLE', 86400000, 'RETRYCOUNT',
      math.max(0, deliveries - 1), 'JUSTID')
    returned = returned + 1
  end
end
return returned
"""

REGISTER_OWN = """
-- ARGV: relay, seconds after which a silent one is gone, destination, what it says of itself, '1' where it
-- leaves. Answers '' or the other destination that relays are here for.
local here, cards, leads_to = prefix .. 'relays', prefix .. 'cards', prefix .. 'destination'
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', here, '-inf', text(now - tonumber(ARGV[2])))) do
  redis.call('ZREM', here, gone)
  redis.call('HDEL', cards, gone)
end
if ARGV[5] == '1' then
  redis.call('ZREM', here, me)
  redis.call('HDEL', cards, me)
else
  local other = redis.call('GET', leads_to)
  if other and other ~= ARGV[3] and redis.call('ZCARD', here) > 0 then return other end
  redis.call('SET', leads_to, ARGV[3])
  redis.call('ZADD', here, text(now), me)
  redis.call('HSET', cards, me, ARGV[4])
end
for class = 0, 3 do
  make_group(class)
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream(class), group)
  if not is_missing(consumers) then
    for _, list in ipairs(consumers) do
      local one = fields_of(list)
      local has_left = one.name == me and ARGV[5] == '1'
      if one.pending == 0 and (has_left or one.idle > 3600000) then
        redis.call('XGROUP', 'DELCONSUMER', stream(class), group, one.name)
      end
    end
  end
end
return ''
"""

UNPARK_OWN = """
-- ARGV: relay, versions that can be read, so many at most of each class. What waited for a relay that can
-- read it goes to its stream.
local moved = 0
for version in ARGV[2]:gmatch('[^,]+') do
  for class = 0, 3 do
    local parked = prefix .. 'v' .. version .. ':s' .. class
    for _, entry in ipairs(redis.call('XRANGE', parked, '-', '+', 'COUNT', tonumber(ARGV[3]))) do
      redis.call('XADD', stream(class), '*', unpack(entry[2]))
      redis.call('XDEL', parked, entry[1])
      moved = moved + 1
    end
    if moved > 0 and redis.call('XLEN', parked) == 0 then redis.call('DEL', parked) end
  end
end
return moved
"""

STATUS_OWN = """
-- ARGV: who asks (nobody), seconds after which a silent relay is gone. Answers lengths of the streams, age of
-- the oldest entry in seconds ('': there is none), entries in relays' hands, entries of ``dead``, open
-- problems, the destination, then lists: of each relay its name, seconds since it was heard of and card; of
-- each consumer that holds entries name and number; names and sums of ``stats``.
local lengths, oldest, in_hand, holders, totals = {}, '', 0, {}, {}
for class = 0, 3 do
  local key = stream(class)
  lengths[#lengths + 1] = redis.call('XLEN', key)
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  if first then
    local moment = tonumber(fields_of(first[2]).at or first[1]:match('^%d+'))
    oldest = math.max(tonumber(oldest) or 0, now - moment / 1000)
  end
  local pending = redis.pcall('XPENDING', key, group)
  if not is_missing(pending) and pending[1] > 0 then
    in_hand = in_hand + pending[1]
    for _, row in ipairs(pending[4]) do totals[row[1]] = (totals[row[1]] or 0) + tonumber(row[2]) end
  end
end
for name, count in pairs(totals) do holders[#holders + 1] = {name, count} end
local relays = {}
local since = text(now - tonumber(ARGV[2]))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'relays', since, '+inf')) do
  local quiet = now - tonumber(redis.call('ZSCORE', prefix .. 'relays', name))
  relays[#relays + 1] = {name, text(quiet), redis.call('HGET', prefix .. 'cards', name) or '{}'}
end
if oldest ~= '' then oldest = text(oldest) end
return {lengths, oldest, in_hand, redis.call('XLEN', prefix .. 'dead'),
  redis.call('ZCARD', prefix .. 'folds'), redis.call('GET', prefix .. 'destination') or '', relays, holders,
  redis.call('HGETALL', prefix .. 'stats')}
"""

_NAMES = {
    "@GROUP@": GROUP,
    "@RETURNED@": RETURNED,
    "@DEAD@": str(MAX_DEAD),
}


def _filled(*parts: str) -> str:
    script = "".join(parts)
    for name, value in _NAMES.items():
        script = script.replace(name, value)
    return script


_BEGIN = KEYS + CLOCK + _STREAMS
PUT = _filled(_BEGIN, FOLDS, FOLD_ONE, PUT_OWN)
CLAIM = _filled(_BEGIN, _ENTRIES, CLAIM_OWN)
RENEW = _filled(_BEGIN, _ENTRIES, RENEW_OWN)
SETTLE = _filled(_BEGIN, _ENTRIES, SETTLE_OWN)
HAND_BACK = _filled(_BEGIN, _ENTRIES, HAND_BACK_OWN)
REGISTER = _filled(_BEGIN, _ENTRIES, REGISTER_OWN)
UNPARK = _filled(_BEGIN, _ENTRIES, UNPARK_OWN)
STATUS = _filled(_BEGIN, _ENTRIES, STATUS_OWN)
