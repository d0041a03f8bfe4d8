#!lua flags=allow-oom
-- Nodes and rooms. See nodes/script.rs, which calls it, and nodes/model.rs, which says the same in Rust.
--
-- KEYS[1]  PREFIX:generation  hash: run, settles (ms), epoch
-- ARGV     PREFIX, lease in ms, operation, this node's incarnation, and what the operation needs
--
--   PREFIX:nodes       set of incarnations
--   PREFIX:lease:NODE  what the node says of itself; expires with the lease
--   PREFIX:rooms:NODE  set of the node's rooms
--   PREFIX:room:ROOM   hash: node, epoch, kind; taken, kept: the epoch of the offer by which the node has it, or
--                      has it still
--   PREFIX:moving:ROOM hash: from, to, epoch, and parcel or why; see transfer.lua
--   PREFIX:inbox:NODE  list of what concerns the node: hints, which may be lost
--
-- The answer: the generation (what is remembered since when), how long nothing is claimed yet (ms), a word, and what belongs to it.
local prefix, ttl, operation, me = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local call, generation, nodes = redis.call, KEYS[1], ARGV[1] .. ':nodes'
local function lease(node) return prefix .. ':lease:' .. node end
local function rooms(node) return prefix .. ':rooms:' .. node end
local function record(room) return prefix .. ':room:' .. room end
local function alive(node) return call('EXISTS', lease(node)) == 1 end

-- A Redis that has been started, promoted or emptied may have forgotten leases and rooms that were agreed on.
-- So nobody may claim anything for the time of a lease: until then whoever had something has said so again,
-- or has stopped by its own clock.
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(call('INFO', 'server'), 'run_id:(%x+)')
local was = call('HMGET', generation, 'run', 'settles')
local settles = tonumber(was[2] or '0')
if was[1] ~= run or settles > now + ttl then
  settles = now + ttl
  call('HSET', generation, 'run', run, 'settles', settles)
end
local settling = math.max(0, settles - now)
local function answer(word, ...) return { run .. ' ' .. string.format('%.0f', settles), settling, word, ... } end

-- Epochs rise over all rooms, also after everything was forgotten: they are microseconds since 1970, or more.
local function newer_than(epoch)
  local last = math.max(tonumber(call('HGET', generation, 'epoch') or '0'), epoch)
  call('HSET', generation, 'epoch', string.format('%.0f', last))
  return last
end
local function next_epoch()
  return string.format('%.0f', newer_than(math.max(time[1] * 1000000 + time[2],
    tonumber(call('HGET', generation, 'epoch') or '0') + 1)))
end

if operation == 'renew' then -- what it says of itself, whether it had a lease
  if ARGV[6] == 'had' and settling == 0 and not alive(me) then return answer('lost') end
  call('SET', lease(me), ARGV[5], 'PX', ttl)
  call('SADD', nodes, me)
  return answer('done')
elseif operation == 'nodes' then
  local all = {}
  for _, node in ipairs(call('SMEMBERS', nodes)) do
    all[#all + 1] = node
    all[#all + 1] = call('GET', lease(node)) or ''
  end
  return answer('nodes', unpack(all))
elseif operation == 'find' then -- room
  local owner = call('HGET', record(ARGV[5]), 'node')
  local says = owner and owner ~= me and call('GET', lease(owner))
  if says then return answer('at', says) end
  return answer('nowhere')
elseif operation == 'claim' then -- room, kind, for whom
  if settling > 0 then return answer('settling') end
  if not alive(me) then return answer('lost') end
  local room, key, to = ARGV[5], record(ARGV[5]), ARGV[7]
  local owner = call('HGET', key, 'node')
  if owner == me then
    to = me
  elseif owner then
    local says = call('GET', lease(owner))
    if says then return answer('at', says) end
    call('SREM', rooms(owner), room)
  end
  if not alive(to) then to = me end
  local epoch = next_epoch()
  call('HSET', key, 'node', to, 'epoch', epoch, 'kind', ARGV[6])
  call('SADD', rooms(to), room)
  if to == me then
    call('PERSIST', key)
    return answer('ours', epoch)
  end
  call('PEXPIRE', key, 30000) -- until somebody comes there
  return answer('at', call('GET', lease(to)))
elseif operation == 'restore' then -- room, epoch, kind, and so on
  if not alive(me) then return answer('lost') end
  local refused = {}
  for i = 5, #ARGV, 3 do
    local room, epoch, kind = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local key = record(room)
    local is = call('HMGET', key, 'node', 'epoch')
    if is[1] and is[1] ~= me and tonumber(is[2]) > tonumber(epoch) and alive(is[1]) then
      refused[#refused + 1] = room
    else
      if is[1] and is[1] ~= me then call('SREM', rooms(is[1]), room) end
      call('HSET', key, 'node', me, 'epoch', epoch, 'kind', kind)
      call('PERSIST', key)
      call('SADD', rooms(me), room)
      newer_than(tonumber(epoch))
    end
  end
  return answer('restored', unpack(refused))
elseif operation == 'release' then -- room, epoch
  local key = record(ARGV[5])
  local is = call('HMGET', key, 'node', 'epoch')
  if is[1] == me and is[2] == ARGV[6] then
    call('DEL', key)
    call('SREM', rooms(me), ARGV[5])
  end
  return answer('done')
elseif operation == 'bury' or operation == 'leave' then -- whom
  local node = ARGV[5]
  if operation == 'leave' then
    call('DEL', lease(node))
  elseif settling > 0 or alive(node) then
    return answer('done')
  end
  local some = call('SPOP', rooms(node), 500)
  for _, room in ipairs(some) do
    if call('HGET', record(room), 'node') == node then call('DEL', record(room)) end
  end
  if #some < 500 then call('SREM', nodes, node) end
  return answer('done')
end
