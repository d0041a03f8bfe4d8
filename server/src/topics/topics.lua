#!lua
-- Publishes in a topic of several nodes. See topics/stream.rs, which calls it, and topics/ring.rs, which keeps a
-- history in the same way.
--
-- KEYS[1]  PREFIX:topics  sorted set: topics that have a history, by when that is over (ms)
-- ARGV     PREFIX, topic, most topics, and of a history: most events, most bytes, age (ms); then the text, the kind
--          of event or '', and 'latest' if it replaces the one before it of which this was said
--
--   PREFIX:topic:TOPIC    stream: the history
--   PREFIX:history:TOPIC  hash: bytes; lost: the newest event that was dropped; latest: the newest of those that
--                         replace each other
--   PREFIX:topic:-new     stream: topics that have a history from then on
local call, topics, prefix, topic = redis.call, KEYS[1], ARGV[1], ARGV[2]
local most_topics, most_events, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local age, text, kind, replaces = tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9] == 'latest'
local stream, history, new = prefix .. ':topic:' .. topic, prefix .. ':history:' .. topic, prefix .. ':topic:-new'
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

call('ZREMRANGEBYSCORE', topics, '-inf', now)
local is_new = not call('ZSCORE', topics, topic)
if is_new and call('ZCARD', topics) >= most_topics then return { 'full' } end

local had = call('HMGET', history, 'bytes', 'latest')
local bytes, latest = tonumber(had[1] or '0'), had[2]
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
end
local fields = { 'text', text }
if kind ~= '' then
  fields[#fields + 1] = 'kind'
  fields[#fields + 1] = kind
end
if replaces then
  fields[#fields + 1] = 'latest'
  fields[#fields + 1] = '1'
end
local id = call('XADD', stream, '*', unpack(fields))
bytes = bytes + size(fields)
if replaces then call('HSET', history, 'latest', id) end
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
if is_new then
  call('XADD', new, 'MAXLEN', '~', 10000, '*', 'text', topic)
  call('PEXPIRE', new, 3600000)
end
return { 'done', id }
