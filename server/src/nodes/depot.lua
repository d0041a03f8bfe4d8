#!lua
-- What is stored of rooms: written only by the node that has the room, under its epoch. See nodes/depot.rs, and
-- depot/read.lua, which reads it.
--
-- KEYS[1]  PREFIX:generation, for the slot
-- ARGV     PREFIX, operation, and what it needs
--
--   PREFIX:room:ROOM    hash: node, epoch: see script.lua; written, the number of what was written last
--   PREFIX:stored:ROOM    hash: row, the newest checkpoint; kind; at, when it was taken (ms of Redis's clock);
--                       written: what was written last, as NODE NUMBER;
--                       while it does not go on: until (ms), tries, after (ms): see script.lua
--   PREFIX:frames:ROOM  the frames since
local prefix, operation, call = ARGV[1], ARGV[2], redis.call
local function stored(room) return prefix .. ':stored:' .. room end
local function frames(room) return prefix .. ':frames:' .. room end
local function record(room) return prefix .. ':room:' .. room end
local function has(room, node, epoch, number)
  local is = call('HMGET', record(room), 'node', 'epoch', 'written')
  return is[1] == node and is[2] == epoch and number >= tonumber(is[3] or '0')
end
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Frames follow what was written last. If an answer was lost, they may be there already; and if Redis has lost
-- something, they follow nothing.
local function append(room, last, this, more)
  local is = call('HGET', stored(room), 'written')
  if is == last then
    call('APPEND', frames(room), more)
    call('HSET', stored(room), 'written', this)
  elseif is ~= this then
    return 'gap'
  end
  return 'done'
end

-- What was sent once more, over another connection, may come after what was written later: then it changes nothing.
if operation == 'write' then -- room, node, epoch, number, what, and four more, for each room
  local results = {}
  for i = 3, #ARGV, 9 do
    local room, node, epoch, number, what = unpack(ARGV, i, i + 4)
    local result, is_late = 'done', not has(room, node, epoch, tonumber(number))
    local this = node .. ' ' .. number
    if not is_late then call('HSET', record(room), 'written', number) end
    if is_late then
      result = 'fenced'
    elseif what == 'put' then -- age in ms, frames since, kind, checkpoint
      call('HSET', stored(room), 'at', string.format('%.0f', now() - tonumber(ARGV[i + 5])), 'kind', ARGV[i + 7], 'row', ARGV[i + 8], 'written', this)
      call('HDEL', stored(room), 'until', 'tries', 'after')
      call('SET', frames(room), ARGV[i + 6])
    elseif what == 'append' then -- the number of what was written before, frames
      result = append(room, node .. ' ' .. ARGV[i + 5], this, ARGV[i + 6])
    else
      call('DEL', stored(room), frames(room))
    end
    results[#results + 1] = result
  end
  return results
end
return redis.error_reply('unknown operation')
