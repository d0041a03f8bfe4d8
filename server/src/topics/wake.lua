#!lua flags=allow-oom
-- Has whoever reads a stream wake up. It has one entry, so a Redis that is full can have it, too.
--
-- KEYS[1]  PREFIX:topic:-NODE  stream
redis.call('XADD', KEYS[1], 'MAXLEN', 1, '*', 'x', 1)
redis.call('PEXPIRE', KEYS[1], 60000)
