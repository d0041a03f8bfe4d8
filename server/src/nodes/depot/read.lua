#!lua flags=no-writes
-- What is stored of a room, for the node that has it: also of a Redis that is full. See depot.lua, which writes it.
--
-- KEYS[1]  PREFIX:generation, for the slot
-- ARGV     PREFIX, room, node, epoch
local prefix, room, call = ARGV[1], ARGV[2], redis.call
local owner = call('HMGET', prefix .. ':room:' .. room, 'node', 'epoch')
if owner[1] ~= ARGV[3] or owner[2] ~= ARGV[4] then return { 'fenced' } end
local is = call('HMGET', prefix .. ':stored:' .. room, 'at', 'row')
if not is[1] then return { 'nothing' } end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local frames = call('GET', prefix .. ':frames:' .. room) or ''
return { 'stored', string.format('%.0f', now - tonumber(is[1])), is[2], frames }
