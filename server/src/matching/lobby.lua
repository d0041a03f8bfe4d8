#!lua flags=allow-oom
-- Says which rooms a server has, and returns what the others say. See matching/others.rs.
--
-- KEYS[1]  PREFIX:lobby
-- ARGV     the server, what it says, how long that counts (ms)
local call, all, me = redis.call, KEYS[1], ARGV[1]
call('SADD', all, me)
call('SET', all .. ':' .. me, ARGV[2], 'PX', ARGV[3])
local said = {}
for _, server in ipairs(call('SMEMBERS', all)) do
  local says = server ~= me and call('GET', all .. ':' .. server)
  if says then
    said[#said + 1] = server
    said[#said + 1] = says
  elseif server ~= me then
    call('SREM', all, server)
  end
end
return said
