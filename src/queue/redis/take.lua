-- Leasing, and how those wait who find nothing to lease.
--
-- Who sleeps does so at the end of a `hand`: a channel of his own that he has subscribed to. While he
-- sleeps the hand is parked: a key of its name says what he wishes ('TILL SIZE DURATION WORKER': until
-- when he is to be trusted to listen, how many tasks at most and on what terms), and its name stands in
-- queue:NAME:parked of the queues that he wants. Whoever makes a task ready gives it into one of these
-- hands, leased already, in the same step; so work begins without a question. A hand of size 0 isn't
-- given anything, but told to look. Every parking ends once: by one message, or by its owner.
--
-- A hand that nobody holds any more has no subscriber, and is dropped. One whose owner hangs gets at
-- most one lease, which runs out like any other.

local HANDED_MAX = 16  -- tasks in one message: Redis cuts off who lets too much wait

-- Ids that left the queue by being leased also leave the list of what is pending. As a rule they
-- are its first ones.
local function unpend(queue, taken)
  local key = queue_key(queue, 'pending')
  local first = call('LPOP', key, #taken) or {}
  local same = true
  for i, id in ipairs(taken) do
    if first[i] ~= id then same = false break end
  end
  if same then return end
  local wanted, kept = {}, {}
  for _, id in ipairs(taken) do wanted[id] = true end
  for _, id in ipairs(first) do
    if wanted[id] then
      wanted[id] = nil
    else
      local seen = call('HMGET', status_key(id), 'status', 'reason')
      if seen[1] == 'queued' and not seen[2] then table.insert(kept, 1, id) end
    end
  end
  if #kept > 0 then spread('LPUSH', key, kept) end
  for _, id in ipairs(taken) do
    if wanted[id] then strike(key, id) end
  end
end

-- The next ids to lease. High goes before normal before low, except that of every ten tasks leased
-- from a queue the fifth is a normal one and the tenth a low one where there is any: a stream of
-- urgent work slows the rest down to a tenth each, and stops nothing. `leases` is how many there
-- were before.
local function pop(queue, leases, count_max)
  local keys, lengths, filled, only = names_of(queue), {}, 0, nil
  if count_max == 1 then
    local place, popped = leases % 10, nil
    if place == 4 then
      popped = call('LMPOP', '3', keys[1], keys[0], keys[2], 'LEFT')
    elseif place == 9 then
      popped = call('LMPOP', '3', keys[2], keys[0], keys[1], 'LEFT')
    else
      popped = call('LMPOP', '3', keys[0], keys[1], keys[2], 'LEFT')
    end
    return popped and popped[2] or {}
  end
  for priority = 0, 2 do
    lengths[priority] = call('LLEN', keys[priority])
    if lengths[priority] > 0 then filled, only = filled + 1, priority end
  end
  if filled == 0 then return {} end
  if filled == 1 then return call('LPOP', keys[only], count_max) end
  local popped = {}
  while #popped < count_max do
    local place = (leases + #popped) % 10
    local turn = place == 4 and 1 or place == 9 and 2 or nil
    if not turn or lengths[turn] == 0 then
      turn = lengths[0] > 0 and 0 or lengths[1] > 0 and 1 or lengths[2] > 0 and 2 or nil
      if not turn then break end
    end
    popped[#popped + 1] = call('LPOP', keys[turn])
    lengths[turn] = lengths[turn] - 1
  end
  return popped
end

local function data_of(id) return call('GET', prefix .. 'task:' .. id .. ':data') or '' end

-- The definition of a task that has nothing else to tell.
local function bare_definition(id, key)
  local first = call('HMGET', key, '0', '1', '2')
  local a, b, c = first[1], first[2], first[3]
  if not a then return data_of(id) end
  if not b then return a end
  if not c then return a .. b end
  if #c < PIECE_BYTES then return a .. b .. c end
  local rest = call('HMGET', key, '3', '4', '5', '6', '7')
  for piece = 1, 5 do
    if not rest[piece] then rest[piece] = '' end
  end
  return a .. b .. c .. concat(rest)
end

-- All of it, with the definition if that stands apart.
local function whole_hash(id, key)
  local flat = call('HGETALL', key)
  for i = 1, #flat, 2 do
    if flat[i] == '0' then return flat end
  end
  flat[#flat + 1] = 'data'
  flat[#flat + 1] = data_of(id)
  return flat
end

-- Whether one from a list of ready tasks that has ghosts in it is ready.
local function is_ready(queue, key)
  local seen = call('HMGET', key, 'status', 'reason')
  if seen[1] == 'queued' and not seen[2] then return true end
  count(queue, 'ghosts_ready', -1)
  return false
end

local function take(queue, count_max, duration, worker)
  local own = names_of(queue)
  local seen = call('HMGET', meta, 'epoch', 'counter', own.leases_field, own.paused_field)
  if seen[4] then return nil end
  local epoch, counter, before = seen[1] or '0', tonumber(seen[2]) or 0, tonumber(seen[3]) or 0
  local answer, taken, leases, size = {queue, epoch, counter, now}, {}, {}, 0
  local till = format('%d', now + duration)
  local head, rest = till .. ' ' .. epoch .. ' ', ' ' .. now_text .. ' ' .. worker
  local middle = ' ' .. epoch .. ' '
  local ghosts = tonumber(call('HGET', queue_key(queue, 'stats'), 'ghosts_ready') or '0') ~= 0
  while size < count_max do
    local popped = pop(queue, before + size, count_max - size)
    if #popped == 0 then break end
    for _, id in ipairs(popped) do
      local key = status_key(id)
      if not ghosts or is_ready(queue, key) then
        local number = format('%d', counter + 1)
        local fields = call('HSET', key, 'status', 'started', 'lease', head .. number .. rest)
        if fields == 2 then
          call('DEL', key)  -- there was nothing: deleted by hand
        else
          counter, size = counter + 1, size + 1
          taken[size] = id
          leases[2 * size - 1], leases[2 * size] = till, id .. middle .. number
          answer[2 * size + 3] = id
          answer[2 * size + 4] = fields == 1 and bare_definition(id, key) or whole_hash(id, key)
        end
      end
    end
  end
  if size == 0 then return nil end
  unpend(queue, taken)
  spread('ZADD', queue_key(queue, 'leases'), leases)
  spread('SADD', queue_key(queue, 'processing'), taken)
  call('HSET', meta, 'counter', format('%d', counter), own.leases_field,
       format('%d', before + size))
  return answer
end

local function is_held(hand) return call('PUBSUB', 'SHARDNUMSUB', hand)[2] > 0 end

-- As fields of a message: queue, epoch, counter before, now, then for each task its id and 'd' with its
-- definition or 'h' with its hash.
local function message_of(answer)
  local fields = {answer[1], answer[2], format('%d', answer[3]), now_text}
  for i = 5, #answer, 2 do
    fields[i] = answer[i]
    local task = answer[i + 1]
    if type(task) == 'table' then fields[i + 1] = 'h' .. netstrings(task) else fields[i + 1] = 'd' .. task end
  end
  return netstrings(fields)
end

-- The next hand of a queue, and what its owner wishes. It's parked no more.
local function pop_hand(queue)
  while true do
    local hand = call('SPOP', queue_key(queue, 'parked'))
    if not hand then return nil end
    local wish = call('GETDEL', hand)
    if wish then return hand, wish end  -- else it was given something by another queue
  end
end

local function park(queue, hand, wish)
  call('SET', hand, wish, 'PX', format('%d', max(1, tonumber(match(wish, '^%d+')) - now) + 60000))
  call('SADD', queue_key(queue, 'parked'), hand)
end

-- Size, duration and worker of a wish; size 0 also for one that should have looked again by now, and so
-- may have stopped to listen.
local function wish_of(wish)
  local till, size, duration, worker = match(wish, '^(%d+) (%d+) (%d+) (.*)$')
  size = min(tonumber(size), HANDED_MAX)
  if tonumber(till) < now then size = 0 end
  return size, tonumber(duration), worker
end

serve = function(queue, size)
  while size > 0 do
    local hand, wish = pop_hand(queue)
    if not hand then return end
    local count_max, duration, worker = wish_of(wish)
    if count_max == 0 then
      call('SPUBLISH', hand, '')
    elseif is_held(hand) then
      local answer = take(queue, count_max, duration, worker)
      if not answer then return park(queue, hand, wish) end  -- paused, or nothing but ghosts
      size = size - (#answer - 4) / 2
      call('SPUBLISH', hand, message_of(answer))
    end
  end
end

-- The same for a single task in the making: nothing of its queue is ready, if a hand is parked. Returns
-- its id, or nothing if there was no hand; then it isn't made.
local function hand_over(queue, definition, ear)
  if ids.paused or #definition > PIECES_BYTES_MAX then return nil end
  while true do
    local hand, wish = pop_hand(queue)
    if not hand then return nil end
    local size, duration, worker = wish_of(wish)
    if size == 0 then
      call('SPUBLISH', hand, '')
    else
      local id, number = next_id()
      local before = format('%d', ids.counter)
      -- It leaves at the end of the call, like every answer.
      if call('SPUBLISH', hand, netstrings({queue, ids.epoch, before, now_text, id,
                                            'd' .. definition})) > 0 then
        ids.counter, ids.leases, ids.leased = ids.counter + 1, ids.leases + 1, queue
        local till, hash, pieces = format('%d', now + duration), {'status', 'started', 'i', 0}, 0
        for first = 1, #definition, PIECE_BYTES do
          hash[5 + 2 * pieces] = DIGITS[pieces]
          hash[6 + 2 * pieces] = sub(definition, first, first + PIECE_BYTES - 1)
          pieces = pieces + 1
        end
        hash[4] = format('%d', number * 16 + pieces)
        local last = #hash
        hash[last + 1] = 'lease'
        hash[last + 2] = concat({till, ids.epoch, format('%d', ids.counter), now_text, worker}, ' ')
        if ear then
          hash[last + 3], hash[last + 4] = 'w', ear
          call('SADD', marked_key(), id)
        end
        call('HSET', status_key(id), unpack(hash))
        list_in_index(id, number)
        call('ZADD', queue_key(queue, 'leases'), till,
             concat({id, ids.epoch, format('%d', ids.counter)}, ' '))
        call('SADD', queue_key(queue, 'processing'), id)
        return id
      end
    end
  end
end

-- One that looks again is enough: it sleeps until what is due then, and serves the others.
hurry = function(queue)
  while true do
    local hand, wish = pop_hand(queue)
    if not hand then return end
    if call('SPUBLISH', hand, '') > 0 and wish_of(wish) > 0 then return end
  end
end

-- Parks a hand by arguments as `complete` has them, if nothing that it's for is ready. Returns
-- milliseconds until something falls due or '', '-' if it wasn't parked.
local function park_idle(args, first, last)
  local due = math.huge
  for i = first + 5, last do
    local own = names_of(args[i])
    if call('EXISTS', own[0], own[1], own[2]) > 0 then return '-' end
    for _, part in ipairs({'leases', 'delayed'}) do
      local soonest = call('ZRANGE', queue_key(args[i], part), '0', '0', 'WITHSCORES')[2]
      if soonest then due = min(due, tonumber(soonest)) end
    end
  end
  local wish = format('%d ', now + tonumber(args[first + 1])) ..
               concat(args, ' ', first + 2, first + 4)
  for i = first + 5, last do park(args[i], args[first], wish) end
  return due < math.huge and format('%d', due - now) or ''
end

-- take: ARGV = now, tail, how many at most, duration, worker, hand or '', '1' if that is parked as far as
-- its owner knows, for how long to park it, how many it may be given, queues in order of preference.
-- Returns {queue, epoch, counter before, now, id, definition or hash, id, ...}; when there was nothing:
-- {'', milliseconds until something falls due or ''}, and the hand is parked; {'?'} when a message is on
-- its way to the hand, so that nothing was looked for.
register('take', {'allow-oom'}, function(args)
  tail = args[2]
  local count_max, duration, worker, hand = tonumber(args[3]), tonumber(args[4]), args[5], args[6]
  if args[7] ~= '' and call('DEL', hand) == 0 then return {'?'} end
  local due = math.huge
  for i = 10, #args do
    local _, next_due = see_to_overdue(args[i], 100)
    finish()
    local answer = take(args[i], count_max, duration, worker)
    if answer then return answer end
    due = min(due, next_due)
  end
  if hand ~= '' then
    local wish = format('%d ', now + tonumber(args[8])) .. args[9] .. ' ' .. args[4] .. ' ' .. worker
    for i = 10, #args do park(args[i], hand, wish) end
  end
  return {'', due < math.huge and format('%d', due - now) or ''}
end)

-- unpark: ARGV = any time, tail, hand, queues. Returns 0 when a message is on its way to it, else 1.
register('unpark', {'allow-oom'}, function(args)
  for i = 4, #args do call('SREM', queue_key(args[i], 'parked'), args[3]) end
  return call('DEL', args[3])
end)
