
-- A room on its way to another node. Its owner has stopped it, and offers it; the other node makes it ready, and
-- takes it. Until then its owner may withdraw the offer. Whoever's call comes first has the room: both have it in
-- memory, as it is, and only the owner lets it go on. Each change of owner, and each withdrawal, begins an epoch:
-- what was asked in an earlier one and comes late changes nothing.
local function moving(room) return prefix .. ':moving:' .. room end
local function tell(node, word, room)
  call('RPUSH', prefix .. ':inbox:' .. node, word .. ' ' .. room)
  call('PEXPIRE', prefix .. ':inbox:' .. node, 10000)
end

if operation == 'look' then -- room
  local is = call('HMGET', moving(ARGV[5]), 'to', 'epoch', 'parcel')
  if is[1] ~= me or not is[3] then return answer('nowhere') end
  return answer('offered', is[2], is[3])
elseif operation == 'decline' then -- room, epoch of the offer, why
  local key = moving(ARGV[5])
  local is = call('HMGET', key, 'to', 'epoch', 'from')
  if is[1] == me and is[2] == ARGV[6] then
    call('HDEL', key, 'parcel')
    call('HSET', key, 'why', ARGV[7])
    tell(is[3], 'over', ARGV[5])
  end
  return answer('done')
elseif operation == 'offer' or operation == 'take' or operation == 'conclude' then
  if settling > 0 then return answer('settling') end
  if not alive(me) then return answer('lost') end
  local room, key = ARGV[5], record(ARGV[5])
  local is = call('HMGET', key, 'node', 'epoch', 'taken', 'stayed')
  local offer = call('HMGET', moving(room), 'from', 'to', 'epoch', 'parcel', 'why')
  if operation == 'offer' then -- room, epoch, to whom, the room itself
    if is[1] ~= me or is[2] ~= ARGV[6] or not alive(ARGV[7]) then return answer('nowhere') end
    call('DEL', moving(room))
    call('HSET', moving(room), 'from', me, 'to', ARGV[7], 'epoch', ARGV[6], 'parcel', ARGV[8])
    call('PEXPIRE', moving(room), 10000)
    tell(ARGV[7], 'offer', room)
    return answer('done')
  elseif operation == 'take' then -- room, epoch of the offer
    if is[1] == me and is[3] == ARGV[6] then return answer('ours', is[2]) end -- asked again
    if not offer[4] or offer[1] ~= is[1] or offer[2] ~= me or offer[3] ~= ARGV[6] or is[2] ~= ARGV[6] then
      return answer('nowhere')
    end
    local epoch = next_epoch()
    own(room, me, epoch)
    call('HSET', key, 'taken', ARGV[6])
    call('DEL', moving(room))
    tell(is[1], 'over', room)
    return answer('ours', epoch)
  end
  -- conclude: room, epoch of the offer. If it was taken, has ended there, and was then given to this node for
  -- somebody who wants it, it is another room.
  if is[1] == me and is[2] ~= ARGV[6] and is[4] ~= ARGV[6] then return answer('nowhere') end
  if is[1] == me then
    local epoch = next_epoch()
    call('HSET', key, 'epoch', epoch, 'stayed', ARGV[6])
    call('DEL', moving(room))
    return answer('stayed', epoch, offer[1] == me and offer[5] or '')
  end
  local says = is[1] and call('GET', lease(is[1]))
  if says then return answer('at', says) end
  return answer('nowhere')
end
return redis.error_reply('unknown operation')
