#!lua flags=allow-oom
-- Where users are. See nodes/presence.rs.
--
-- KEYS[1]  PREFIX:generation  as script.lua has it
-- ARGV     PREFIX, operation, this node's incarnation, and what the operation needs
--
--   PREFIX:present:NODE  hash: user -> visits, and '' -> the number of the batch that was written last. It counts
--                        for as long as the node has its lease.
--   PREFIX:changed       stream of users whose whereabouts have changed, for those who watch them
local prefix, operation, me = ARGV[1], ARGV[2], ARGV[3]
local call, generation = redis.call, KEYS[1]
local function present(node) return prefix .. ':present:' .. node end

if operation == 'tell' then -- life (ms), the batch before: least and greatest or -1, this batch, user, visits, and so on
  local key, changed = present(me), {}
  local least, greatest = tonumber(ARGV[5]), tonumber(ARGV[6])
  local last = tonumber(call('HGET', key, '') or '-1')
  if least < 0 then
    call('DEL', key)
  elseif last < least or last > greatest then
    return 'lost'
  end
  for i = 8, #ARGV, 2 do
    if ARGV[i + 1] == '' then call('HDEL', key, ARGV[i]) else call('HSET', key, ARGV[i], ARGV[i + 1]) end
    changed[#changed + 1] = ARGV[i]
  end
  call('HSET', key, '', ARGV[7])
  call('PEXPIRE', key, ARGV[4])
  if #changed > 0 then
    call('XADD', prefix .. ':changed', 'MAXLEN', '~', 300, '*', 'users', table.concat(changed, ' '))
    call('PEXPIRE', prefix .. ':changed', 60000)
  end
  return 'done'
elseif operation == 'ask' then -- users
  -- While Redis may have forgotten leases, nobody knows who is where: see script.lua.
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local run = string.match(call('INFO', 'server'), 'run_id:(%x+)')
  local was = call('HMGET', generation, 'run', 'settles')
  local settles = was[1] == run and tonumber(was[2] or '0') or -1
  if settles < 0 or settles > now then return { 'settling', math.max(settles - now, 0) } end
  local users, alive, found = { unpack(ARGV, 4) }, {}, {}
  for _, node in ipairs(call('SMEMBERS', prefix .. ':nodes')) do
    local says = call('GET', prefix .. ':lease:' .. node)
    if says then
      alive[#alive + 1] = node
      if node ~= me and #users > 0 then
        local here = { says }
        for i, visits in ipairs(call('HMGET', present(node), unpack(users))) do
          if visits then
            here[#here + 1] = i
            here[#here + 1] = visits
          end
        end
        if #here > 1 then found[#found + 1] = here end
      end
    end
  end
  table.sort(alive)
  return { 'known', run .. ' ' .. settles .. ' ' .. table.concat(alive, ' '), found }
end
return redis.error_reply('unknown operation')
