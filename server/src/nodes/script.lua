#!lua flags=allow-oom
-- Nodes and rooms. See nodes/script.rs, which calls it, and nodes/model.rs, which says the same in Rust.
--
-- KEYS[1]  PREFIX:generation  hash: run, settles (ms), epoch, lease: of all nodes (ms)
-- ARGV     PREFIX, lease in ms, operation, this node's incarnation, and what the operation needs
--
--   PREFIX:nodes       set of incarnations
--   PREFIX:lease:NODE  what the node says of itself; expires with the lease
--   PREFIX:rooms:NODE  set of the node's rooms; NODE is nobody: of those that are stored, and that nobody has
--   PREFIX:taken:NODE  set of the rooms that it has taken over last
--   PREFIX:room:ROOM   hash: node, epoch; taken, stayed: the epoch of the offer by which the node has it, or
--                      has it still; written: see depot.lua
--   PREFIX:moving:ROOM hash: from, to, epoch, and parcel or why; see transfer.lua
--   PREFIX:inbox:NODE  list of what concerns the node: hints, which may be lost
--   PREFIX:stored:ROOM, PREFIX:frames:ROOM  what is stored of the room: see depot.lua
--
-- The answer: the generation (what is remembered since when), how long nothing is claimed yet (ms), a word, and what belongs to it.
local prefix, ttl, operation, me = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local call, generation, nodes = redis.call, KEYS[1], ARGV[1] .. ':nodes'
local function lease(node) return prefix .. ':lease:' .. node end
local function rooms(node) return prefix .. ':rooms:' .. node end
local function record(room) return prefix .. ':room:' .. room end
local function stored(room) return prefix .. ':stored:' .. room end
local function frames(room) return prefix .. ':frames:' .. room end
local function alive(node) return call('EXISTS', lease(node)) == 1 end
-- Whether this node has a game: its kinds are the last arguments.
local function plays(kind, first)
  for i = first, #ARGV do
    if ARGV[i] == kind then return true end
  end
  return false
end

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

-- The room is this node's from now on.
local function own(room, node, epoch)
  local key = record(room)
  local was = call('HMGET', key, 'node', 'epoch')
  if was[1] and was[1] ~= node then call('SREM', rooms(was[1]), room) end
  if was[1] ~= node or was[2] ~= epoch then call('HDEL', key, 'written') end
  call('HSET', key, 'node', node, 'epoch', epoch)
  call('HDEL', key, 'taken', 'stayed')
  -- Of a room that is meant for another node, nothing is to be left if nobody comes there.
  if node == me then
    call('SADD', rooms(node), room)
    call('PERSIST', key)
    call('PERSIST', stored(room))
    call('PERSIST', frames(room))
  end
end

-- Nobody has the room, which is stored: for an hour, it goes on at whichever node can. Each time that one has
-- `failed` to, the nodes wait for longer until one tries again, unless somebody wants it.
local nobody = 'nobody'
local function leave(room, failed)
  local key = stored(room)
  call('HSETNX', key, 'until', string.format('%.0f', now + 3600000))
  if failed then
    local tries = call('HINCRBY', key, 'tries', 1)
    call('HSET', key, 'after', string.format('%.0f', now + math.min(500 * 2 ^ tries, 60000)))
  end
  call('SREM', rooms(call('HGET', record(room), 'node')), room)
  call('HSET', record(room), 'node', nobody)
  for _, is in ipairs({ record(room), key, frames(room) }) do
    call('PEXPIREAT', is, call('HGET', key, 'until'))
  end
  call('SADD', rooms(nobody), room)
  call('PEXPIRE', rooms(nobody), 3600000)
  call('SADD', nodes, nobody)
end

-- So much of a set that a call stays short.
local function some(set)
  return call('SCARD', set) > 500 and call('SRANDMEMBER', set, 500) or call('SMEMBERS', set)
end

-- The lease of a node is over: whoever asks takes some of its rooms that are stored, and the others are forgotten.
-- Those of which it has not the game are nobody's. `first`: of the arguments that are its kinds.
local function divide(node, most, first)
  local taken = {}
  for _, room in ipairs(some(rooms(node))) do
    local is = call('HMGET', stored(room), 'kind', 'after')
    if call('HGET', record(room), 'node') ~= node then
      call('SREM', rooms(node), room)
    elseif not is[1] then
      call('DEL', record(room))
      call('SREM', rooms(node), room)
    elseif first and not plays(is[1], first) then
      if node ~= nobody then leave(room, false) end
    elseif #taken < 2 * most and (node ~= nobody or tonumber(is[2] or '0') <= now) then
      local epoch = next_epoch()
      own(room, me, epoch)
      taken[#taken + 1] = room
      taken[#taken + 1] = epoch
    end
  end
  if call('SCARD', rooms(node)) == 0 then call('SREM', nodes, node) end
  return taken
end

-- Whether other nodes have leases of another length: then this one would count on more time than they give it, or
-- they on more than it gives them.
local function other_lease()
  local theirs = call('HGET', generation, 'lease')
  if not theirs or theirs == ARGV[2] then return false end
  for _, node in ipairs(call('SMEMBERS', nodes)) do
    if node ~= me and alive(node) then return theirs end
  end
  return false
end

-- Another life of this node: of this process, after it has lost its lease.
local function life(step)
  local origin, number = string.match(me, '^(.*)%-(%d+)$')
  return origin and origin .. '-' .. string.format('%.0f', number + step)
end

-- The rule by which Redis removes keys to save memory: what was agreed on would be forgotten. '': it removes none.
local function removes()
  local memory = call('INFO', 'memory')
  local policy = string.match(memory, 'maxmemory_policy:(%S+)') or 'noeviction'
  return (policy == 'noeviction' or string.match(memory, 'maxmemory:0%s')) and '' or policy
end

if operation == 'renew' then -- what it says of itself, whether it had a lease
  if ARGV[6] == 'had' then
    -- It may have come late: then the life after this one has begun.
    local newer = life(1)
    if newer and alive(newer) or settling == 0 and not alive(me) then return answer('lost') end
  end
  local theirs = ARGV[6] ~= 'had' and other_lease()
  if theirs then return answer('lease', theirs) end
  call('HSET', generation, 'lease', ARGV[2])
  call('SET', lease(me), ARGV[5], 'PX', ttl)
  call('SADD', nodes, me)
  -- The life before this one is over, though its last renewal may have come late: nobody waits for its rooms
  -- for longer than for a room that just stops.
  local older = ARGV[6] ~= 'had' and life(-1)
  if older then call('PEXPIRE', lease(older), math.floor(ttl / 8), 'LT') end
  return answer('done', removes())
elseif operation == 'nodes' then
  local all = {}
  for _, node in ipairs(call('SMEMBERS', nodes)) do
    all[#all + 1] = node
    all[#all + 1] = call('GET', lease(node)) or ''
    all[#all + 1] = call('PTTL', lease(node))
  end
  return answer('nodes', unpack(all))
elseif operation == 'where' then -- room
  local owner = call('HGET', record(ARGV[5]), 'node')
  local says = owner and owner ~= me and call('GET', lease(owner))
  if says then return answer('at', says, call('PTTL', lease(owner))) end
  return answer('nowhere')
elseif operation == 'claim' then -- room, for whom, whether to make it, kinds
  local room, key, to = ARGV[5], record(ARGV[5]), ARGV[6]
  local owner = call('HGET', key, 'node')
  local says = owner and owner ~= me and call('GET', lease(owner))
  if says then return answer('at', says, call('PTTL', lease(owner))) end
  if settling > 0 then return answer('settling') end
  if not alive(me) then return answer('lost') end
  local kind = call('HGET', stored(room), 'kind')
  if not kind and ARGV[7] ~= 'make' and owner ~= me then return answer('nowhere') end
  if kind and owner ~= me and not plays(kind, 8) then return answer('foreign', kind) end
  -- What is this node's stays so under its epoch, whatever else it has asked meanwhile.
  local epoch = owner == me and call('HGET', key, 'epoch') or next_epoch()
  -- What is stored goes on where somebody wants it.
  if kind or owner == me or not alive(to) then to = me end
  own(room, to, epoch)
  if to == me then return answer('ours', epoch, kind and 'stored' or '') end
  call('PEXPIRE', key, 30000) -- until somebody comes there
  return answer('at', call('GET', lease(to)), call('PTTL', lease(to)))
elseif operation == 'restore' then -- room, epoch, and so on
  if not alive(me) then return answer('lost') end
  local refused = {}
  for i = 5, #ARGV, 2 do
    local room, epoch = ARGV[i], ARGV[i + 1]
    local is = call('HMGET', record(room), 'node', 'epoch')
    if is[1] and is[1] ~= me and tonumber(is[2]) > tonumber(epoch) and alive(is[1]) then
      refused[#refused + 1] = room
    else
      own(room, me, epoch)
      newer_than(tonumber(epoch))
    end
  end
  return answer('restored', unpack(refused))
elseif operation == 'release' then -- room, epoch, whether somebody is to go on with it
  local room = ARGV[5]
  local is = call('HMGET', record(room), 'node', 'epoch')
  if is[1] == me and is[2] == ARGV[6] then
    if ARGV[7] == 'stored' and call('HEXISTS', stored(room), 'kind') == 1 then
      leave(room, true)
    else
      call('DEL', record(room), stored(room), frames(room))
      call('SREM', rooms(me), room)
    end
  end
  return answer('done')
elseif operation == 'inherit' then -- from whom, how many, whether it asks again, kinds
  local node, last = ARGV[5], prefix .. ':taken:' .. me
  if not alive(me) then return answer('lost') end
  if ARGV[7] == 'again' then
    local taken = {}
    for _, room in ipairs(call('SMEMBERS', last)) do
      local is = call('HMGET', record(room), 'node', 'epoch')
      if is[1] == me then
        taken[#taken + 1] = room
        taken[#taken + 1] = is[2]
      end
    end
    return answer('taken', unpack(taken))
  end
  if settling > 0 or alive(node) then return answer('done') end
  local taken = divide(node, tonumber(ARGV[6]), 8)
  call('DEL', last)
  for i = 1, #taken, 2 do call('SADD', last, taken[i]) end
  call('PEXPIRE', last, 60000)
  return answer('taken', unpack(taken))
elseif operation == 'rooms' then -- how many it knows
  if call('SCARD', rooms(me)) <= tonumber(ARGV[5]) then return answer('taken') end
  local all = {}
  for _, room in ipairs(some(rooms(me))) do
    local is = call('HMGET', record(room), 'node', 'epoch')
    if is[1] == me then
      all[#all + 1] = room
      all[#all + 1] = is[2]
    else
      call('SREM', rooms(me), room)
    end
  end
  return answer('taken', unpack(all))
elseif operation == 'leave' then
  call('DEL', lease(me))
  divide(me, 0)
  return answer('done')
end
