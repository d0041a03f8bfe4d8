#!lua flags=no-writes
-- A page of what there is of a topic, the newest first: also of a Redis that is full. See topics/stream.rs.
--
-- KEYS[1]  PREFIX:topics
-- ARGV     PREFIX, topic, from which entry on, most entries
local prefix, topic, call = ARGV[1], ARGV[2], redis.call
return {
  call('TIME'),
  call('ZSCORE', KEYS[1], topic),
  call('HMGET', prefix .. ':history:' .. topic, 'lost', 'begun'),
  call('HMGET', prefix .. ':histories', 'since', 'age'),
  call('XREVRANGE', prefix .. ':topic:' .. topic, ARGV[3], '-', 'COUNT', ARGV[4]),
}
