#!lua
-- Publishes in a topic of several nodes. See topics/stream.rs, which calls it, and topics/ring.rs, which keeps a
-- history in the same way.
--
-- KEYS[1]  PREFIX:topics  sorted set: topics that have a history, by when that is over (ms)
-- ARGV     PREFIX, topic, most topics, and of a history: most events, most bytes, age (ms); then the text, the kind
--          of event or '', 'latest' if it replaces the one before it of which this was said, and its publisher's id
--          and display name or ''; then the source or '', and most topics in which that may publish
--
--   PREFIX:topic:TOPIC    stream: the history. By what an event says of those before it, a node sees whether it
--                         has missed some that were dropped: after: the newest of those that nothing replaces;
--                         beside: the one of those that replace each other; begins: there is none
--   PREFIX:history:TOPIC  hash: bytes; begun: the first event; lost: the newest event that was dropped; plain: the
--                         newest of those that nothing replaces; latest: of those that replace each other
--   PREFIX:topics:of:SOURCE  sorted set: topics in which the source publishes, by when that counts no more (ms)
--   PREFIX:topic:-new     stream: topics that have a history from then on
--   PREFIX:histories      hash: since: when the first history of all began (ms); age: the shortest with which a node
--                         publishes (ms), until: and how long that counts
local call, topics, prefix, topic = redis.call, KEYS[1], ARGV[1], ARGV[2]
local most_topics, most_events, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local age, text, kind, replaces = tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9] == 'latest'
local user, name = ARGV[10], ARGV[11]
local source, most_of_source = ARGV[12], tonumber(ARGV[13])
local stream, history, new = prefix .. ':topic:' .. topic, prefix .. ':history:' .. topic, prefix .. ':topic:-new'
local histories, month = prefix .. ':histories', 30 * 24 * 3600 * 1000
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local of_source = source ~= '' and prefix .. ':topics:of:' .. source
if of_source then
  call('ZREMRANGEBYSCORE', of_source, '-inf', now)
  local is_one = call('ZSCORE', of_source, topic)
  if not is_one and call('ZCARD', of_source) >= most_of_source then return { 'source' } end
end
call('ZREMRANGEBYSCORE', topics, '-inf', now)
local is_new = not call('ZSCORE', topics, topic)
if is_new and call('ZCARD', topics) >= most_topics then return { 'full' } end

local of_all = call('HMGET', histories, 'since', 'age', 'until')
if not (of_all[1] and tonumber(of_all[2]) < age and tonumber(of_all[3]) > now) then
  call('HSET', histories, 'since', of_all[1] or now, 'age', age, 'until', now + month)
end

local had = call('HMGET', history, 'bytes', 'begun', 'plain', 'latest')
local bytes, begun, plain, latest = tonumber(had[1] or '0'), had[2], had[3], had[4]
-- What an event takes, about: as event.rs has it.
local function size(fields)
  local n = 150
  for i = 2, #fields, 2 do n = n + #fields[i] end
  return n
end
local function first(from, to) return call('XRANGE', stream, from, to, 'COUNT', 1)[1] end
local function drop(event)
  call('XDEL', stream, event[1])
  bytes = bytes - size(event[2])
end

if replaces and latest then
  local replaced = first(latest, latest)
  if replaced then drop(replaced) end
  latest = false
end
local fields = { 'text', text }
local function say(name, value)
  if not value then return end
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
say('kind', kind ~= '' and kind)
say('user', user ~= '' and user)
say('name', name ~= '' and name)
say('latest', replaces and '1')
say('begins', not begun and '1')
say('after', plain)
say('beside', latest)
local id = call('XADD', stream, '*', unpack(fields))
bytes = bytes + size(fields)
if not begun then call('HSET', history, 'begun', id) end
call('HSET', history, replaces and 'latest' or 'plain', id)
if replaces then latest = id end
for left = call('XLEN', stream), 2, -1 do
  local oldest = first('-', '+')
  local published = tonumber(string.match(oldest[1], '^%d+'))
  if left <= most_events and bytes <= most_bytes and published >= now - age then break end
  drop(oldest)
  call('HSET', history, 'lost', oldest[1])
  if oldest[1] == latest then call('HDEL', history, 'latest') end
end
call('HSET', history, 'bytes', bytes)
for _, key in ipairs({ stream, history }) do call('PEXPIRE', key, age) end
call('ZADD', topics, now + age, topic)
if of_source then
  call('ZADD', of_source, now + age, topic)
  call('PEXPIRE', of_source, age)
end
if is_new then
  call('XADD', new, 'MAXLEN', '~', 10000, '*', 'text', topic)
  call('PEXPIRE', new, 3600000)
end
return { 'done', id }
