-- Enqueueing, leasing and how attempts end.

-- enqueue: ARGV = now, tail of the ids, then for each task: queue, priority, definition, delay,
-- unique key, ids that it follows, parent. Returns the ids; error not_found for a followed task.
register('enqueue', {}, function(args)
  tail = args[2]
  for at = 3, #args, TASK_ARGUMENTS do
    local id = check_arguments(args, at)
    if id then return unknown(id) end
  end
  local added, queue = {}, nil
  for at = 3, #args, TASK_ARGUMENTS do
    if args[at] ~= queue then
      queue = args[at]
      call('SADD', prefix .. 'queue:names', queue)
    end
    added[#added + 1] = add_arguments(args, at)
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

-- Of a task's hash: whether it may be leased, and whether its definition stands in it.
local function look_at(flat)
  local status, reason, pieces
  for i = 1, #flat, 2 do
    local field = flat[i]
    if field == 'status' then status = flat[i + 1]
    elseif field == 'reason' then reason = true
    elseif field == '0' then pieces = true end
  end
  return status == 'queued' and not reason, pieces
end

local function take(queue, count_max, duration, worker)
  local stats = call('HMGET', queue_key(queue, 'stats'), 'leases', 'paused')
  if stats[2] then return nil end
  local before = tonumber(stats[1]) or 0
  local meta = call('HMGET', prefix .. 'queue:meta', 'epoch', 'counter')
  local epoch, counter = meta[1] or '0', tonumber(meta[2]) or 0
  local answer, taken, leases = {queue, epoch, counter, now}, {}, {}
  local till = now + duration
  local rest_of_lease = ' ' .. now .. ' ' .. till .. ' ' .. worker
  while #taken < count_max do
    local popped = pop(queue, before + #taken, count_max - #taken)
    if #popped == 0 then break end
    for _, id in ipairs(popped) do
      local key = status_key(id)
      local flat = call('HGETALL', key)
      local ready, pieces = look_at(flat)
      if ready then
        counter = counter + 1
        call('HSET', key, 'status', 'started', 'lease', epoch .. ' ' .. counter .. rest_of_lease)
        if not pieces then
          flat[#flat + 1] = 'data'
          flat[#flat + 1] = call('GET', prefix .. 'task:' .. id .. ':data') or ''
        end
        local size = #taken + 1
        taken[size] = id
        leases[2 * size - 1], leases[2 * size] = till, id
        answer[2 * size + 3], answer[2 * size + 4] = id, flat
      else
        count(queue, 'ghosts_ready', -1)
      end
    end
  end
  if #taken == 0 then return nil end
  unpend(queue, taken)
  spread('ZADD', queue_key(queue, 'leases'), leases)
  spread('SADD', queue_key(queue, 'processing'), taken)
  call('HSET', prefix .. 'queue:meta', 'counter', counter)
  count(queue, 'leases', #taken)
  return answer
end

-- take: ARGV = now, tail, how many at most, duration, worker, queues in order of preference.
-- Returns {queue, epoch, counter before, now, id, hash, id, hash, ...}; when there was nothing:
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

local function complete(args, at)
  local id, queue, token, unique, result, faulty = unpack(args, at, at + 5)
  local first, last = at + 7, at + 6 + tonumber(args[at + 6]) * TASK_ARGUMENTS
  local key = status_key(id)
  local seen = call('HMGET', key, 'status', 'lease', 'c', 'f', 'w')
  if seen[1] ~= 'started' then return 'stale' end
  local latest, till = match(seen[2], '^(%d+ %d+) %d+ (%d+) ')
  if latest ~= token or tonumber(till) <= now then return 'stale' end
  if seen[3] then
    end_cancelled(define(load(id)))
    return 'cancelled'
  end
  if faulty ~= '' then return 'faulty' end
  for i = first, last, TASK_ARGUMENTS do
    local gone = check_arguments(args, i)
    if gone then return 'missing ' .. gone end
  end
  call('HSET', key, 'status', 'finished', 'end', now)
  call('SET', prefix .. 'task:' .. id .. ':result', result, 'PX', args[3])
  append('ZREM', queue_key(queue, 'leases'), id)
  append('SREM', queue_key(queue, 'processing'), id)
  append('RPUSH', queue_key(queue, 'completed'), id)
  if unique ~= '' and call('HGET', prefix .. 'queue:unique', unique) == id then
    call('HDEL', prefix .. 'queue:unique', unique)
  end
  if seen[4] then settle({id = id, status = 'finished'}) end
  if seen[5] then announce({id = id}) end
  for i = first, last, TASK_ARGUMENTS do
    call('SADD', prefix .. 'queue:names', args[i])
    add_arguments(args, i)
  end
  return 'ok'
end

-- complete: ARGV = now, tail, how long results are kept, then for each completion: id, queue, token,
-- unique key, result, '' or anything if it can't be stored, number of follow-ups, seven for each
-- (as in enqueue). Returns for each: ok, stale, cancelled, faulty, or 'missing ID'.
register('complete', {'allow-oom'}, function(args)
  tail = args[2]
  local answers, finished, at = {}, {}, 4
  while at <= #args do
    local answer = complete(args, at)
    answers[#answers + 1] = answer
    if answer == 'ok' then finished[args[at + 1]] = (finished[args[at + 1]] or 0) + 1 end
    at = at + 7 + tonumber(args[at + 6]) * TASK_ARGUMENTS
  end
  for queue, number in pairs(finished) do count(queue, 'finished_total', number) end
  return answers
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
  if task.c then
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
  if task.c then
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
    elseif task.c then
      end_cancelled(task)
      answers[#answers + 1] = 'cancelled'
    else
      local epoch, counter, started, before, worker =
          match(task.lease, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
      local longest = max(till, tonumber(before))
      call('HSET', status_key(task.id), 'lease',
           concat({epoch, counter, started, longest, worker}, ' '))
      call('ZADD', queue_key(task.queue, 'leases'), longest, task.id)
      answers[#answers + 1] = 'held'
    end
  end
  return answers
end)
