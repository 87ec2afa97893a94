-- Enqueueing, leasing and how attempts end.

-- enqueue: ARGV = now, tail of the ids, then groups: number of tasks, queue, priority, a definition for
-- each; or for a task that is more than that: '', queue, priority, definition, delay, unique key, ids
-- that it follows, parent. Returns the ids; error not_found for a followed task.
register('enqueue', {}, function(args)
  tail = args[2]
  local at, total = 3, #args
  while at <= total do
    if args[at] == '' then
      local id = check_arguments(args, at + 1)
      if id then return unknown(id) end
      at = at + 1 + TASK_ARGUMENTS
    else
      at = at + 3 + tonumber(args[at])
    end
  end
  local added, size, known = {}, 0, nil
  at = 3
  while at <= total do
    local queue = args[at + 1]
    if queue ~= known then
      if ids or not load_ids(queue) then know(queue) end
      known = queue
    end
    if args[at] == '' then
      size = size + 1
      added[size] = add_arguments(args, at + 1)
      at = at + 1 + TASK_ARGUMENTS
    else
      local lists, last = ready_lists(queue), at + 2 + tonumber(args[at])
      local list, all = lists[tonumber(args[at + 2])], lists.all
      local listed, listed_all = #list, #all
      for i = at + 3, last do
        local id = create(args[i])
        listed, listed_all, size = listed + 1, listed_all + 1, size + 1
        list[listed], all[listed_all], added[size] = id, id, id
      end
      at = last + 1
    end
  end
  return added
end)

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
  local keys, lengths, filled, only = {}, {}, 0, nil
  for priority = 0, 2 do
    keys[priority] = queue_key(queue, 'priority:' .. PRIORITIES[priority])
  end
  if count_max == 1 then
    local place, popped = leases % 10, nil
    if place == 4 then
      popped = call('LMPOP', 3, keys[1], keys[0], keys[2], 'LEFT')
    elseif place == 9 then
      popped = call('LMPOP', 3, keys[2], keys[0], keys[1], 'LEFT')
    else
      popped = call('LMPOP', 3, keys[0], keys[1], keys[2], 'LEFT')
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
  local seen = call('HMGET', meta, 'epoch', 'counter', 'leases:' .. queue, 'paused:' .. queue)
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
  call('HSET', meta, 'counter', format('%d', counter), 'leases:' .. queue,
       format('%d', before + size))
  return answer
end

-- take: ARGV = now, tail, how many at most, duration, worker, queues in order of preference.
-- Returns {queue, epoch, counter before, now, id, definition or hash, id, ...}; when there was nothing:
-- {'', time when something falls due or '', for each queue where its stream of wakes ends}.
register('take', {'allow-oom'}, function(args)
  tail = args[2]
  local count_max, duration, worker = tonumber(args[3]), tonumber(args[4]), args[5]
  for i = 6, #args do
    see_to_overdue(args[i], 100)
    finish()
    local answer = take(args[i], count_max, duration, worker)
    if answer then return answer end
  end
  local due
  local answer = {'', ''}
  for i = 6, #args do
    for _, part in ipairs({'leases', 'delayed'}) do
      local first = call('ZRANGE', queue_key(args[i], part), 0, 0, 'WITHSCORES')
      if first[2] then due = min(due or math.huge, tonumber(first[2])) end
    end
    local last = call('XREVRANGE', queue_key(args[i], 'wake'), '+', '-', 'COUNT', 1)[1]
    answer[#answer + 1] = last and last[1] or '0-0'
  end
  if due then answer[2] = tostring(due - now) end
  return answer
end)

-- ended: the ids that have to leave the places of started tasks, at the end of the call.
local function complete(id, token, result, ttl, unique, faulty, args, first, last)
  local key = status_key(id)
  local seen = call('HMGET', key, 'status', 'lease', 'x')
  if seen[1] ~= 'started' or not is_honoured(seen[2], token) then return 'stale' end
  local flags = seen[3]
  if flags and find(flags, 'c', 1, true) then
    end_cancelled(define(load(id)))
    return 'cancelled'
  end
  if faulty ~= '' then return 'faulty' end
  for i = first, last, TASK_ARGUMENTS do
    local gone = check_arguments(args, i)
    if gone then return 'missing ' .. gone end
  end
  call('HSET', key, 'status', 'finished', 'end', now_text)
  call('PSETEX', prefix .. 'task:' .. id .. ':result', ttl, result)
  if unique ~= '' and call('HGET', prefix .. 'queue:unique', unique) == id then
    call('HDEL', prefix .. 'queue:unique', unique)
  end
  if flags then
    if find(flags, 'f', 1, true) then settle({id = id, status = 'finished'}) end
    if find(flags, 'w', 1, true) then announce(id) end
  end
  for i = first, last, TASK_ARGUMENTS do
    know(args[i])
    add_arguments(args, i)
  end
  return 'ok'
end

-- complete: ARGV = now, tail, how long results are kept, then for each completion: id, token, result and
-- '' if it's as the one before and has nothing more; else the number of follow-ups, queue, unique key,
-- '' or anything if it can't be stored, seven for each follow-up (as in end.lua). Returns the number of
-- completions if all took effect; else for each: ok, stale, cancelled, faulty, or 'missing ID'.
register('complete', {'allow-oom'}, function(args)
  tail = args[2]
  local ttl, total, at, size = args[3], #args, 4, 0
  local answers, ended, queues = nil, nil, {}
  while at <= total do
    local id, token, result, more = args[at], args[at + 1], args[at + 2], args[at + 3]
    local unique, faulty, first, last = '', '', at + 4, at + 3
    if more ~= '' then
      local queue = args[at + 4]
      unique, faulty, first = args[at + 5], args[at + 6], at + 7
      last = at + 6 + tonumber(more) * TASK_ARGUMENTS
      ended = queues[queue]
      if not ended then
        ended = {}
        queues[queue] = ended
      end
    end
    at = last + 1
    size = size + 1
    local answer = complete(id, token, result, ttl, unique, faulty, args, first, last)
    if answer == 'ok' then
      ended[#ended + 1] = id
    elseif not answers then
      answers = {}
      for i = 1, size - 1 do answers[i] = 'ok' end
    end
    if answers then answers[size] = answer end
  end
  for queue, done in pairs(queues) do
    if #done > 0 then
      spread('ZREM', queue_key(queue, 'leases'), done)
      spread('SREM', queue_key(queue, 'processing'), done)
      spread('RPUSH', queue_key(queue, 'completed'), done)
      count(queue, 'finished_total', #done)
    end
  end
  return answers or size
end)

local function backoff(task, random)
  local wait = task.backoff_first
  for _ = 2, task.errors + task.crashes do
    if wait >= task.backoff_max then break end
    wait = wait * 2
  end
  wait = min(wait, task.backoff_max)
  return floor(wait / 2 + wait / 2 * random)
end

-- fail: ARGV = now, tail, id, token, code, message, '1' if it may be tried again, a random number
-- below 1. Returns 1, or 0 for a lease that isn't honoured.
register('fail', {'allow-oom'}, function(args)
  tail = args[2]
  local task = held(args[3], args[4])
  if not task then return 0 end
  if task.cancelled then
    end_cancelled(task)
    return 1
  end
  local code, message = args[5], args[6]
  local crashed = code == 'crashed'
  task.attempts = task.attempts + 1
  if crashed then task.crashes = task.crashes + 1 else task.errors = task.errors + 1 end
  tell(task, crashed and 'c' or 'e', message)
  set_error(task, code, message)
  if crashed and task.crashes >= task.crashes_max then
    tell(task, 'q')
    end_task(task, 'failed', 'quarantined')
  elseif not crashed and (args[7] ~= '1' or task.errors >= task.errors_max) then
    end_task(task, 'failed')
  else
    put_back(task, backoff(task, tonumber(args[8])))
  end
  return 1
end)

-- release: ARGV = now, tail, id, token, delay. Returns as fail.
register('release', {'allow-oom'}, function(args)
  tail = args[2]
  local task = held(args[3], args[4])
  if not task then return 0 end
  if task.cancelled then
    end_cancelled(task)
  else
    tell(task, 'r')
    put_back(task, tonumber(args[5]))
  end
  return 1
end)

-- progress: ARGV = now, tail, id, token, JSON, how long it's kept. Returns as fail.
register('progress', {'allow-oom'}, function(args)
  if not held(args[3], args[4]) then return 0 end
  call('SET', prefix .. 'task:' .. args[3] .. ':progress', args[5], 'PX', args[6])
  return 1
end)

-- extend: ARGV = now, tail, duration, then for each lease: id, token. Returns for each: held, lost or
-- cancelled.
register('extend', {'allow-oom'}, function(args)
  tail = args[2]
  local answers, till = {}, now + tonumber(args[3])
  for at = 4, #args, 2 do
    local task = held(args[at], args[at + 1])
    if not task then
      answers[#answers + 1] = 'lost'
    elseif task.cancelled then
      end_cancelled(task)
      answers[#answers + 1] = 'cancelled'
    else
      local longest = max(till, until_of(task.lease))
      call('HSET', status_key(task.id), 'lease', longest .. sub(task.lease, 14))
      call('ZADD', queue_key(task.queue, 'leases'), longest, task.id)
      answers[#answers + 1] = 'held'
    end
  end
  return answers
end)
