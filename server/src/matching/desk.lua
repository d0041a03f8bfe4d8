#!lua flags=allow-oom
-- The desk of several servers. See matching/remote.rs, which calls it, and matching/desk.rs, which says the
-- same in Rust.
--
-- KEYS[1]  PREFIX:queue  hash: number of tickets so far; the lease's holder, end (ms) and epoch
-- ARGV     PREFIX, operation, and what the operation needs
--
--   PREFIX:queue:tickets       hash: ticket -> what it says
--   PREFIX:queue:kinds         hash: ticket -> kind of game
--   PREFIX:queue:users         hash: kind and user -> ticket
--   PREFIX:queue:owners        hash: ticket -> kind and user
--   PREFIX:queue:sources       hash: source -> players of its tickets
--   PREFIX:queue:of            hash: ticket -> its party, and its source
--   PREFIX:queue:until         sorted set: ticket, by when it is given up (ms)
--   PREFIX:queue:matched       hash: ticket -> its match
--   PREFIX:queue:away          set: tickets whose owners are away, and that are not matched meanwhile
--   PREFIX:queue:waiting:KIND  sorted set: ticket, by its number
local prefix, operation, call, desk = ARGV[1], ARGV[2], redis.call, KEYS[1]
local function key(name) return prefix .. ':queue:' .. name end
local tickets, kinds, users, owners = key('tickets'), key('kinds'), key('users'), key('owners')
local ends, matched, away, sources, of = key('until'), key('matched'), key('away'), key('sources'), key('of')
local function waiting(kind) return key('waiting:' .. kind) end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function remove(id)
  local kind, owner = call('HGET', kinds, id), call('HGET', owners, id)
  if kind then call('ZREM', waiting(kind), id) end
  if owner and call('HGET', users, owner) == id then call('HDEL', users, owner) end
  local party, source = string.match(call('HGET', of, id) or '', '^(%d+) (.+)$')
  if source and call('HINCRBY', sources, source, -party) <= 0 then call('HDEL', sources, source) end
  for _, hash in ipairs({ tickets, kinds, owners, matched, of }) do call('HDEL', hash, id) end
  call('ZREM', ends, id)
  call('SREM', away, id)
end
local function sweep()
  for _, id in ipairs(call('ZRANGE', ends, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do remove(id) end
end
local function is_here(id)
  local at = call('ZSCORE', ends, id)
  return at and tonumber(at) > now
end
local function waits(id)
  return is_here(id) and call('HEXISTS', matched, id) == 0 and call('SISMEMBER', away, id) == 0
end
local function look(id, life)
  if not is_here(id) then return { 'none' } end
  local match = call('HGET', matched, id)
  if match then return { 'matched', match, tonumber(call('ZSCORE', ends, id)) - now } end
  call('ZADD', ends, now + life, id)
  call('SREM', away, id)
  return { 'waiting', call('HGET', tickets, id) }
end

if operation == 'add' then
  -- ticket, kind, user or '', what it says, most tickets, life (ms), source or '', party, most players of a source
  local id, kind, user, says, most, life = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
  local source, party, of_source = ARGV[9], ARGV[10], tonumber(ARGV[11])
  sweep()
  local owner = kind .. '\n' .. user
  -- The user's earlier ticket without a match, whose id may have been lost, is given up; unless this one is not taken.
  local earlier = user ~= '' and call('HGET', users, owner)
  earlier = earlier and call('HEXISTS', matched, earlier) == 0 and earlier
  if call('ZCARD', ends) - (earlier and 1 or 0) >= most then return { 'full' } end
  if source ~= '' then
    local freed, from = string.match(earlier and call('HGET', of, earlier) or '', '^(%d+) (.+)$')
    local has = (call('HGET', sources, source) or 0) - (from == source and freed or 0)
    if has + party > of_source then return { 'source' } end
  end
  if earlier then remove(earlier) end
  if source ~= '' then
    call('HINCRBY', sources, source, party)
    call('HSET', of, id, party .. ' ' .. source)
  end
  if user ~= '' then
    call('HSET', users, owner, id)
    call('HSET', owners, id, owner)
  end
  call('HSET', tickets, id, says)
  call('HSET', kinds, id, kind)
  call('ZADD', ends, now + life, id)
  call('ZADD', waiting(kind), call('HINCRBY', desk, 'number', 1), id)
  return { 'done' }
elseif operation == 'look' then -- ticket, life (ms)
  return look(ARGV[3], tonumber(ARGV[4]))
elseif operation == 'away' then -- ticket, life (ms)
  if waits(ARGV[3]) then
    call('SADD', away, ARGV[3])
    call('ZADD', ends, now + ARGV[4], ARGV[3])
  end
  return { 'done' }
elseif operation == 'decided' then -- tickets
  local decided = { 'decided' }
  for n = 3, #ARGV do
    local id = ARGV[n]
    if is_here(id) and call('HEXISTS', matched, id) == 0 then
      call('SREM', away, id)
    else
      decided[#decided + 1] = id
    end
  end
  return decided
elseif operation == 'cancel' then -- ticket
  local seen = look(ARGV[3], 1000)
  if seen[1] == 'waiting' then remove(ARGV[3]) end
  return seen
elseif operation == 'lead' then -- who, for how long (ms)
  local who, lasts = ARGV[3], tonumber(ARGV[4])
  local lease = call('HMGET', desk, 'holder', 'until')
  local left = tonumber(lease[2] or '0') - now
  local its_own = left > 0 and lease[1] == who
  -- One that would last for longer was taken before the clock was set back: it binds nobody but its holder.
  if not its_own and left > 0 and left <= lasts then return { 'other' } end
  if not its_own then call('HINCRBY', desk, 'epoch', 1) end
  call('HSET', desk, 'holder', who, 'until', string.format('%.0f', now + lasts))
  return { 'leads', call('HGET', desk, 'epoch') }
elseif operation == 'yield' then -- who
  if call('HGET', desk, 'holder') == ARGV[3] then call('HDEL', desk, 'until') end
  return { 'done' }
elseif operation == 'waiting' then -- kind, after which number, how many: others have their turn between two pages
  sweep()
  local page = call('ZRANGE', waiting(ARGV[3]), '(' .. ARGV[4], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[5], 'WITHSCORES')
  local all = { #page < 2 * tonumber(ARGV[5]) and 'all' or 'more', page[#page] or '0' }
  for n = 1, #page, 2 do
    if waits(page[n]) then all[#all + 1] = call('HGET', tickets, page[n]) end
  end
  return all
elseif operation == 'commit' then -- epoch, how long it is kept (ms), and for each: ticket, its match
  local lease = call('HMGET', desk, 'epoch', 'until')
  if lease[1] ~= ARGV[3] or not lease[2] or tonumber(lease[2]) <= now then return { 'lost' } end
  for n = 5, #ARGV, 2 do
    if not waits(ARGV[n]) then return { 'gone' } end
  end
  for n = 5, #ARGV, 2 do
    local id = ARGV[n]
    call('HSET', matched, id, ARGV[n + 1])
    call('ZREM', waiting(call('HGET', kinds, id)), id)
    call('ZADD', ends, now + tonumber(ARGV[4]), id)
  end
  return { 'done' }
end
return redis.error_reply('unknown operation ' .. operation)
