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

-- Of a hash as it was made, and never touched since: the definition.
local function untouched(flat)
  if flat[1] ~= 'status' or flat[2] ~= 'queued' or flat[3] ~= 'i' then return nil end
  local pieces = tonumber(flat[4]) % 16
  if pieces == 0 or #flat ~= 4 + 2 * pieces then return nil end
  for piece = 0, pieces - 1 do
    if flat[5 + 2 * piece] ~= DIGITS[piece] then return nil end
  end
  if pieces == 1 then return flat[6] end
  if pieces == 2 then return flat[6] .. flat[8] end
  if pieces == 3 then return flat[6] .. flat[8] .. flat[10] end
  local all = {}
  for piece = 1, pieces do all[piece] = flat[4 + 2 * piece] end
  return concat(all)
end

-- Of any other: all of it, with the definition if that stands apart. Nothing if it isn't ready.
local function ready_hash(id, flat)
  local status, reason, pieces
  for i = 1, #flat, 2 do
    local field = flat[i]
    if field == 'status' then status = flat[i + 1]
    elseif field == 'reason' then reason = true
    elseif field == '0' then pieces = true end
  end
  if status ~= 'queued' or reason then return nil end
  if not pieces then
    flat[#flat + 1] = 'data'
    flat[#flat + 1] = call('GET', prefix .. 'task:' .. id .. ':data') or ''
  end
  return flat
end

local function take(queue, count_max, duration, worker)
  local own = names_of(queue)
  local seen = call('HMGET', meta, 'epoch', 'counter', own.leases_field, own.paused_field)
  if seen[4] then return nil end
  local epoch, counter, before = seen[1] or '0', tonumber(seen[2]) or 0, tonumber(seen[3]) or 0
  local answer, taken, leases, size = {queue, epoch, counter, now}, {}, {}, 0
  local till = format('%d', now + duration)
  local lease = till .. ' ' .. epoch .. ' %d ' .. now_text .. ' ' .. gsub(worker, '%%', '%%%%')
  while size < count_max do
    local popped = pop(queue, before + size, count_max - size)
    if #popped == 0 then break end
    for _, id in ipairs(popped) do
      local key = status_key(id)
      local flat = call('HGETALL', key)
      local task = untouched(flat) or ready_hash(id, flat)
      if task then
        counter, size = counter + 1, size + 1
        call('HSET', key, 'status', 'started', 'lease', format(lease, counter))
        taken[size] = id
        leases[2 * size - 1], leases[2 * size] = till, id
        answer[2 * size + 3], answer[2 * size + 4] = id, task
      else
        count(queue, 'ghosts_ready', -1)
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
local function hand_over(queue, definition, awaited)
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
        if awaited then hash[last + 3], hash[last + 4] = 'x', 'w' end
        call('HSET', status_key(id), unpack(hash))
        list_in_index(id, number)
        call('ZADD', queue_key(queue, 'leases'), till, id)
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
