#!lua
-- What is kept of rooms: written only by the node that has the room, under its epoch. See nodes/depot.rs.
--
-- KEYS[1]  PREFIX:generation, for the slot
-- ARGV     PREFIX, operation, and what it needs
--
--   PREFIX:room:ROOM    hash: node, epoch: see script.lua
--   PREFIX:kept:ROOM    hash: row, the newest checkpoint; kind; at, when it was taken (ms of Redis's clock);
--                       while it does not go on: until (ms), tries, after (ms): see script.lua
--   PREFIX:frames:ROOM  the frames since
local prefix, operation, call = ARGV[1], ARGV[2], redis.call
local function kept(room) return prefix .. ':kept:' .. room end
local function frames(room) return prefix .. ':frames:' .. room end
local function has(room, node, epoch)
  local is = call('HMGET', prefix .. ':room:' .. room, 'node', 'epoch')
  return is[1] == node and is[2] == epoch
end
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Frames follow those that are there. What is there already, because an answer was lost, is not appended twice.
local function append(room, before, more)
  -- Frames that are there are those after a checkpoint.
  if before == 0 and call('EXISTS', kept(room)) == 0 then return 'gap' end
  local length = call('STRLEN', frames(room))
  if length == before then
    call('APPEND', frames(room), more)
  elseif length ~= before + #more then
    return 'gap'
  end
  return 'done'
end

if operation == 'write' then -- room, node, epoch, what, and three more, for each room
  local results = {}
  for i = 3, #ARGV, 8 do
    local room, node, epoch, what = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local result = 'done'
    if not has(room, node, epoch) then
      result = 'fenced'
    elseif what == 'put' then -- age in ms, frames since, kind, checkpoint
      call('HSET', kept(room), 'at', string.format('%.0f', now() - tonumber(ARGV[i + 4])), 'kind', ARGV[i + 6], 'row', ARGV[i + 7])
      call('HDEL', kept(room), 'until', 'tries', 'after')
      call('SET', frames(room), ARGV[i + 5])
    elseif what == 'append' then -- bytes before, frames
      result = append(room, tonumber(ARGV[i + 4]), ARGV[i + 5])
    else
      call('DEL', kept(room), frames(room))
    end
    results[#results + 1] = result
  end
  return results
elseif operation == 'read' then -- room, node, epoch
  local room = ARGV[3]
  if not has(room, ARGV[4], ARGV[5]) then return { 'fenced' } end
  local is = call('HMGET', kept(room), 'at', 'row')
  if not is[1] then return { 'nothing' } end
  return { 'kept', string.format('%.0f', now() - tonumber(is[1])), is[2], call('GET', frames(room)) or '' }
end
return redis.error_reply('unknown operation')
