#!lua flags=allow-oom
-- Who comes to the seats that are kept for them, for several servers. See matching/attendances.rs, which calls
-- it, and matching/attendance.rs, which says the same in Rust.
--
-- KEYS[1]  PREFIX:expected  sorted set: party, by when its players must have come (ms)
-- ARGV     PREFIX, operation, the times (ms) and the number of attendance.rs, and what the operation needs
--
--   PREFIX:expected:tokens      hash: party -> its tokens, with spaces between
--   PREFIX:expected:of          hash: token -> party
--   PREFIX:expected:users       hash: party -> user
--   PREFIX:expected:sources     hash: party -> source
--   PREFIX:expected:user:USER   set: parties of a user
--   PREFIX:missed:user:USER     how often seats were not taken, and until when that keeps from more (ms)
--   PREFIX:missed:source:SOURCE
local prefix, operation, call, due = ARGV[1], ARGV[2], redis.call, KEYS[1]
local grace, first, longest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local remembered, of_a_source = tonumber(ARGV[6]), tonumber(ARGV[7])
local tokens, of = prefix .. ':expected:tokens', prefix .. ':expected:of'
local users, sources = prefix .. ':expected:users', prefix .. ':expected:sources'
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function parties_of(user) return prefix .. ':expected:user:' .. user end
local function keys(user, source) -- of what is remembered: each with how often it may miss
  local all = {}
  if user ~= '' then all[#all + 1] = { prefix .. ':missed:user:' .. user, 0 } end
  if source ~= '' then all[#all + 1] = { prefix .. ':missed:source:' .. source, of_a_source } end
  return all
end
local function record(key)
  local missed, ends = string.match(call('GET', key) or '', '^(%d+) (%d+)$')
  return tonumber(missed or 0), tonumber(ends or 0)
end
local function remove(party)
  local all = call('HGET', tokens, party)
  if not all then return nil end
  local user, source = call('HGET', users, party) or '', call('HGET', sources, party) or ''
  for token in string.gmatch(all, '%S+') do call('HDEL', of, token) end
  for _, hash in ipairs({ tokens, users, sources }) do call('HDEL', hash, party) end
  if user ~= '' then call('SREM', parties_of(user), party) end
  call('ZREM', due, party)
  return user, source
end
local function sweep()
  for _, party in ipairs(call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do
    local user, source = remove(party)
    for _, key in ipairs(keys(user or '', source or '')) do
      local missed = record(key[1]) + 1
      local aside = missed > key[2] and math.min(first * 2 ^ (missed - key[2] - 1), longest) or 0
      call('SET', key[1], string.format('%d %.0f', missed, now + aside), 'PX', aside + remembered)
    end
  end
end
local function check(user, source, more, most)
  local seats, ends = more, 0
  for _, party in ipairs(user ~= '' and call('SMEMBERS', parties_of(user)) or {}) do
    for _ in string.gmatch(call('HGET', tokens, party), '%S+') do seats = seats + 1 end
    ends = math.max(ends, tonumber(call('ZSCORE', due, party)))
  end
  if seats > most then return { 'expected', math.max(ends - now, 0) } end
  local aside = 0
  for _, key in ipairs(keys(user, source)) do
    local _, ends = record(key[1])
    aside = math.max(aside, ends - now)
  end
  if aside > 0 then return { 'missed', aside } end
  return { 'done' }
end
local function expect(user, source, all, lasts)
  if user == '' and source == '' then return end
  local party = string.match(all, '%S+')
  for token in string.gmatch(all, '%S+') do call('HSET', of, token, party) end
  call('HSET', tokens, party, all)
  if user ~= '' then
    call('HSET', users, party, user)
    call('SADD', parties_of(user), party)
  end
  if source ~= '' then call('HSET', sources, party, source) end
  call('ZADD', due, now + lasts + grace, party)
end

if operation == 'check' then -- user or '', source or '', how many seats more, of how many
  sweep()
  return check(ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]))
elseif operation == 'take' then -- the same, how long they are kept (ms), tokens
  sweep()
  local answer = check(ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]))
  if answer[1] == 'done' then expect(ARGV[8], ARGV[9], ARGV[13], tonumber(ARGV[12])) end
  return answer
elseif operation == 'expect' then -- how long (ms), and for each party: user or '', source or '', tokens
  for n = 9, #ARGV, 3 do expect(ARGV[n], ARGV[n + 1], ARGV[n + 2], tonumber(ARGV[8])) end
  return { 'done' }
elseif operation == 'forget' then -- parties
  for n = 8, #ARGV do remove(ARGV[n]) end
  return { 'done' }
elseif operation == 'came' then -- tokens
  for n = 8, #ARGV do
    local user, source = remove(call('HGET', of, ARGV[n]) or '')
    if user then
      for _, key in ipairs(keys(user, source)) do
        local missed, ends = record(key[1])
        if missed > 0 then call('SET', key[1], string.format('%d %.0f', missed - 1, ends), 'KEEPTTL') end
      end
      for _, party in ipairs(user ~= '' and call('SMEMBERS', parties_of(user)) or {}) do remove(party) end
    end
  end
  return { 'done' }
end
return redis.error_reply('unknown operation ' .. operation)
