-- Enqueueing, and how attempts end.

-- enqueue: ARGV = now, tail of the ids, then groups: number of tasks, queue, priority, a definition for
-- each; or for a task that is more than that: '', queue, priority, definition, delay, unique key, ids
-- that it follows, parent; or for a single task whose end is awaited: 'w', queue, priority, definition,
-- ear.
-- Returns the ids; error not_found for a followed task.
register('enqueue', {}, function(args)
  tail = args[2]
  local at, total = 3, #args
  if total == 6 and args[3] == '1' or args[3] == 'w' then
    local queue, ear = args[4], args[7]
    if not load_ids(queue) then know(queue) end
    local id = hand_over(queue, args[6], ear)
    if not id then
      id = create(args[6])
      if ear then add_ear(id, ear) end
      make_ready(queue, tonumber(args[5]), id)
    end
    return {id}
  end
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

-- Of a task that is held.
local function finish_one(id, marked, result, ttl)
  local key, seen = status_key(id), nil
  if marked then
    seen = call('HMGET', key, 'x', 'w', 'lease', 'n', 'error')
    if seen[1] and find(seen[1], 'c', 1, true) then
      end_cancelled(define(load(id)))
      return 'cancelled'
    end
  end
  call('HSET', key, 'status', 'finished', 'end', now_text)
  call('PSETEX', prefix .. 'task:' .. id .. ':result', ttl, result)
  if marked and (seen[1] or seen[2]) then
    call('SREM', marked_key(), id)
    if seen[1] and find(seen[1], 'f', 1, true) then settle({id = id, status = 'finished'}) end
    if seen[2] then
      announce(id, seen[2], result, {'status', 'finished', 'lease', seen[3], 'end', now_text,
                                     'n', seen[4] or '', 'error', seen[5] or ''})
    end
  end
  return 'ok'
end

-- From the places of started tasks, but for their claims, to that of finished ones.
local function move_finished(queue, ids)
  if #ids == 0 then return end
  call('SREM', queue_key(queue, 'processing'), unpack(ids))
  call('RPUSH', queue_key(queue, 'completed'), unpack(ids))
  count(queue, 'finished_total', #ids)
end

-- Whether the claim is that of the latest lease of a started task.
local function is_latest(claim)
  local id = id_of(claim)
  local seen = call('HMGET', status_key(id), 'status', 'lease')
  return seen[1] == 'started' and claim_of({id = id, lease = seen[2]}) == claim
end

-- A group of completions that do nothing but end: at args[at] how many, then as for `complete`. Adds the
-- answer to each.
local function complete_group(args, at, ttl, answers)
  local size, queue, claims, ids = tonumber(args[at]), args[at + 1], {}, {}
  for i = 1, size do
    local claim = args[at + 2 * i]
    claims[i], ids[i] = claim, id_of(claim)
  end
  local key, done, before = queue_key(queue, 'leases'), {}, #answers
  -- A single one is as soon asked itself.
  local marks = {size == 1 and 1 or 0}
  if size > 1 and call('EXISTS', marked_key()) == 1 then
    marks = call('SMISMEMBER', marked_key(), unpack(ids))
  end
  -- As a rule no lease of the queue has run out. Then a claim that stands among the leases is held,
  -- and taking them out tells how many did.
  local first, tills = call('ZRANGE', key, '0', '0', 'WITHSCORES')[2], nil
  local late = not first or tonumber(first) <= now
  if late then tills = call('ZMSCORE', key, unpack(claims)) end
  local all = call('ZREM', key, unpack(claims)) == size and not late
  for i = 1, size do
    local id, answer = ids[i], 'stale'
    if all or (late and tills[i] and tonumber(tills[i]) > now) or
       (not late and is_latest(claims[i])) then
      answer = finish_one(id, marks[i] == 1, args[at + 2 * i + 1], ttl)
      if answer == 'ok' then done[#done + 1] = id end
    elseif late and tills[i] then
      call('ZADD', key, tills[i], claims[i])  -- it's for others to see to
    end
    answers[before + i] = answer
  end
  move_finished(queue, done)
  return #done == size
end

-- One that does more than end, at args[at], where the last one of its arguments is at `last`. Returns the
-- answer.
local function complete_one(args, at, last, ttl)
  local queue, claim, result, unique = args[at + 1], args[at + 2], args[at + 3], args[at + 4]
  local till = call('ZSCORE', queue_key(queue, 'leases'), claim)
  if not till or tonumber(till) <= now then return 'stale' end
  local id = id_of(claim)
  local letters = call('HGET', status_key(id), 'x')
  if not (letters and find(letters, 'c', 1, true)) then
    if args[at + 5] ~= '' then return 'faulty' end
    for i = at + 7, last, TASK_ARGUMENTS do
      local gone = check_arguments(args, i)
      if gone then return 'missing ' .. gone end
    end
  end
  local marked = call('SISMEMBER', marked_key(), id) == 1
  local answer = finish_one(id, marked, result, ttl)
  if answer ~= 'ok' then return answer end
  call('ZREM', queue_key(queue, 'leases'), claim)
  move_finished(queue, {id})
  if unique ~= '' and call('HGET', prefix .. 'queue:unique', unique) == id then
    call('HDEL', prefix .. 'queue:unique', unique)
  end
  for i = at + 7, last, TASK_ARGUMENTS do
    know(args[i])
    add_arguments(args, i)
  end
  return 'ok'
end

-- complete: ARGV = now, tail, how long results are kept, number of arguments about a hand (0, or as for
-- `take` after its name: hand, how long to park it, size, duration, worker, queues), then groups of
-- completions: how many (at most 1000), queue, and for each its claim and result; or for one that does
-- more than end: '', queue, claim, result, unique key, '' or anything if it can't be stored, number of
-- follow-ups, seven arguments for each of these (as in end.lua).
-- Returns the number of completions if all took effect; else for each: ok, stale, cancelled, faulty, or
-- 'missing ID'. With a hand, which is parked if nothing is ready, {that, milliseconds until something
-- falls due or '', or '-' if it wasn't parked}.
register('complete', {'allow-oom'}, function(args)
  tail = args[2]
  local handed = tonumber(args[4])
  local ttl, total, at = args[3], #args, 5 + handed
  local answers, faultless = {}, true
  while at <= total do
    if args[at] == '' then
      local last = at + 6 + tonumber(args[at + 6]) * TASK_ARGUMENTS
      local answer = complete_one(args, at, last, ttl)
      if answer ~= 'ok' then faultless = false end
      answers[#answers + 1] = answer
      at = last + 1
    else
      faultless = complete_group(args, at, ttl, answers) and faultless
      at = at + 2 + 2 * tonumber(args[at])
    end
  end
  if faultless then answers = #answers end
  if handed == 0 then return answers end
  finish()
  return {answers, park_idle(args, 5, 4 + handed)}
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

-- fail: ARGV = now, tail, claim, code, message, '1' if it may be tried again, a random number
-- below 1. Returns 1, or 0 for a lease that isn't honoured.
register('fail', {'allow-oom'}, function(args)
  tail = args[2]
  local task = held(args[3])
  if not task then return 0 end
  if task.cancelled then
    end_cancelled(task)
    return 1
  end
  local code, message = args[4], args[5]
  local crashed = code == 'crashed'
  task.attempts = task.attempts + 1
  if crashed then task.crashes = task.crashes + 1 else task.errors = task.errors + 1 end
  tell(task, crashed and 'c' or 'e', message)
  set_error(task, code, message)
  if crashed and task.crashes >= task.crashes_max then
    tell(task, 'q')
    end_task(task, 'failed', 'quarantined')
  elseif not crashed and (args[6] ~= '1' or task.errors >= task.errors_max) then
    end_task(task, 'failed')
  else
    put_back(task, backoff(task, tonumber(args[7])))
  end
  return 1
end)

-- release: ARGV = now, tail, claim, delay. Returns as fail.
register('release', {'allow-oom'}, function(args)
  tail = args[2]
  local task = held(args[3])
  if not task then return 0 end
  if task.cancelled then
    end_cancelled(task)
  else
    tell(task, 'r')
    put_back(task, tonumber(args[4]))
  end
  return 1
end)

-- progress: ARGV = now, tail, claim, JSON, how long it's kept. Returns as fail.
register('progress', {'allow-oom'}, function(args)
  if not held(args[3]) then return 0 end
  call('SET', prefix .. 'task:' .. id_of(args[3]) .. ':progress', args[4], 'PX', args[5])
  return 1
end)

-- extend: ARGV = now, tail, duration, then the claims. Returns for each: held, lost or cancelled.
register('extend', {'allow-oom'}, function(args)
  tail = args[2]
  local answers, till = {}, now + tonumber(args[3])
  for at = 4, #args do
    local task = held(args[at])
    if not task then
      answers[#answers + 1] = 'lost'
    elseif task.cancelled then
      end_cancelled(task)
      answers[#answers + 1] = 'cancelled'
    else
      local longest = max(till, until_of(task.lease))
      call('HSET', status_key(task.id), 'lease', longest .. sub(task.lease, 14))
      call('ZADD', queue_key(task.queue, 'leases'), longest, args[at])
      answers[#answers + 1] = 'held'
    end
  end
  return answers
end)
