#!lua flags=allow-oom
-- Nodes and rooms. See nodes/script.rs, which calls it, and nodes/model.rs, which says the same in Rust.
--
-- KEYS[1]  PREFIX:generation  hash: run, settles (ms), epoch, lease: of all nodes (ms)
-- ARGV     PREFIX, lease in ms, operation, this node's incarnation, and what the operation needs
--
--   PREFIX:nodes       set of incarnations
--   PREFIX:lease:NODE  what the node says of itself; expires with the lease
--   PREFIX:rooms:NODE  set of the node's rooms
--   PREFIX:taken:NODE  set of the rooms that it has taken over last
--   PREFIX:room:ROOM   hash: node, epoch, kind; taken, kept: the epoch of the offer by which the node has it, or
--                      has it still
--   PREFIX:moving:ROOM hash: from, to, epoch, and parcel or why; see transfer.lua
--   PREFIX:inbox:NODE  list of what concerns the node: hints, which may be lost
--   PREFIX:kept:ROOM, PREFIX:frames:ROOM  what is kept of the room: see depot.lua
--
-- The answer: the generation (what is remembered since when), how long nothing is claimed yet (ms), a word, and what belongs to it.
local prefix, ttl, operation, me = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local call, generation, nodes = redis.call, KEYS[1], ARGV[1] .. ':nodes'
local function lease(node) return prefix .. ':lease:' .. node end
local function rooms(node) return prefix .. ':rooms:' .. node end
local function record(room) return prefix .. ':room:' .. room end
local function kept(room) return prefix .. ':kept:' .. room end
local function frames(room) return prefix .. ':frames:' .. room end
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

-- The room is this node's from now on.
local function own(room, node, epoch, kind)
  call('HSET', record(room), 'node', node, 'epoch', epoch, 'kind', kind)
  call('PERSIST', record(room))
  -- Of a room that is meant for another node, nothing is to be left if nobody comes there.
  if node == me then call('SADD', rooms(node), room) end
end

-- The lease of a node is over: whoever asks takes some of its rooms that are kept, and the others are forgotten.
local function divide(node, most, kinds)
  local all = call('SCARD', rooms(node)) > 500 and call('SRANDMEMBER', rooms(node), 500) or call('SMEMBERS', rooms(node))
  local taken = {}
  for _, room in ipairs(all) do
    local kind = call('HGET', kept(room), 'kind')
    if call('HGET', record(room), 'node') ~= node then
      call('SREM', rooms(node), room)
    elseif not kind then
      call('DEL', record(room))
      call('SREM', rooms(node), room)
    elseif kinds[kind] and #taken < 3 * most then
      local epoch = next_epoch()
      call('SREM', rooms(node), room)
      own(room, me, epoch, kind)
      taken[#taken + 1] = room
      taken[#taken + 1] = epoch
      taken[#taken + 1] = kind
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

if operation == 'renew' then -- what it says of itself, whether it had a lease
  if ARGV[6] == 'had' and settling == 0 and not alive(me) then return answer('lost') end
  local theirs = ARGV[6] ~= 'had' and other_lease()
  if theirs then return answer('lease', theirs) end
  call('HSET', generation, 'lease', ARGV[2])
  call('SET', lease(me), ARGV[5], 'PX', ttl)
  call('SADD', nodes, me)
  return answer('done')
elseif operation == 'nodes' then
  local all = {}
  for _, node in ipairs(call('SMEMBERS', nodes)) do
    all[#all + 1] = node
    all[#all + 1] = call('GET', lease(node)) or ''
    all[#all + 1] = call('PTTL', lease(node))
  end
  return answer('nodes', unpack(all))
elseif operation == 'claim' then -- room, kind, for whom, whether to make it
  local room, key, to = ARGV[5], record(ARGV[5]), ARGV[7]
  local owner = call('HGET', key, 'node')
  local says = owner and owner ~= me and call('GET', lease(owner))
  if says then return answer('at', says, call('PTTL', lease(owner))) end
  if settling > 0 then return answer('settling') end
  if not alive(me) then return answer('lost') end
  local kind = call('HGET', kept(room), 'kind')
  if not kind and ARGV[8] ~= 'make' and owner ~= me then return answer('nowhere') end
  if owner and owner ~= me then call('SREM', rooms(owner), room) end
  -- What is this node's stays so under its epoch, whatever else it has asked meanwhile.
  local epoch = owner == me and call('HGET', key, 'epoch') or next_epoch()
  -- What is kept goes on where somebody wants it.
  if kind or owner == me or not alive(to) then to = me end
  own(room, to, epoch, kind or ARGV[6])
  if to == me then
    call('PERSIST', kept(room))
    call('PERSIST', frames(room))
    return answer('ours', epoch, kind or '')
  end
  call('PEXPIRE', key, 30000) -- until somebody comes there
  return answer('at', call('GET', lease(to)), call('PTTL', lease(to)))
elseif operation == 'restore' then -- room, epoch, kind, and so on
  if not alive(me) then return answer('lost') end
  local refused = {}
  for i = 5, #ARGV, 3 do
    local room, epoch, kind = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local is = call('HMGET', record(room), 'node', 'epoch')
    if is[1] and is[1] ~= me and tonumber(is[2]) > tonumber(epoch) and alive(is[1]) then
      refused[#refused + 1] = room
    else
      if is[1] and is[1] ~= me then call('SREM', rooms(is[1]), room) end
      own(room, me, epoch, kind)
      newer_than(tonumber(epoch))
    end
  end
  return answer('restored', unpack(refused))
elseif operation == 'release' then -- room, epoch, whether somebody may go on with it
  local room = ARGV[5]
  local is = call('HMGET', record(room), 'node', 'epoch')
  if is[1] == me and is[2] == ARGV[6] then
    call('DEL', record(room))
    call('SREM', rooms(me), room)
    if ARGV[7] == 'kept' then
      call('EXPIRE', kept(room), 3600) -- until somebody wants it at a node that can go on with it
      call('EXPIRE', frames(room), 3600)
    else
      call('DEL', kept(room), frames(room))
    end
  end
  return answer('done')
elseif operation == 'inherit' then -- from whom, how many, whether it asks again, kinds
  local node, kinds, last = ARGV[5], {}, prefix .. ':taken:' .. me
  if not alive(me) then return answer('lost') end
  if ARGV[7] == 'again' then
    local taken = {}
    for _, room in ipairs(call('SMEMBERS', last)) do
      local is = call('HMGET', record(room), 'node', 'epoch', 'kind')
      if is[1] == me then
        taken[#taken + 1] = room
        taken[#taken + 1] = is[2]
        taken[#taken + 1] = is[3]
      end
    end
    return answer('taken', unpack(taken))
  end
  if settling > 0 or alive(node) then return answer('done') end
  for i = 8, #ARGV do kinds[ARGV[i]] = true end
  local taken = divide(node, tonumber(ARGV[6]), kinds)
  call('DEL', last)
  for i = 1, #taken, 3 do call('SADD', last, taken[i]) end
  call('PEXPIRE', last, 60000)
  return answer('taken', unpack(taken))
elseif operation == 'leave' then
  call('DEL', lease(me))
  divide(me, 0, {})
  return answer('done')
end
