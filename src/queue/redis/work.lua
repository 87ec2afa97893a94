-- Enqueueing, and how attempts end.

-- enqueue: ARGV = now, tail of the ids, then groups: number of tasks, queue, priority, a definition for
-- each; or for a task that is more than that: '', queue, priority, definition, delay, unique key, ids
-- that it follows, parent; or for a single task whose end is awaited: 'w', queue, priority, definition.
-- Returns the ids; error not_found for a followed task.
register('enqueue', {}, function(args)
  tail = args[2]
  local at, total = 3, #args
  if total == 6 and (args[3] == '1' or args[3] == 'w') then
    local queue, awaited = args[4], args[3] == 'w'
    if not load_ids(queue) then know(queue) end
    local id = hand_over(queue, args[6], awaited)
    if not id then
      id = create(args[6])
      if awaited then call('HSET', status_key(id), 'x', 'w') end
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

-- ended: the ids that have to leave the places of started tasks, at the end of the call.
local function complete(id, token, result, ttl, unique, faulty, args, first, last)
  local key = status_key(id)
  local seen = call('HMGET', key, 'status', 'lease', 'x', 'n', 'error')
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
    if find(flags, 'w', 1, true) then
      announce(id, result, {'status', 'finished', 'lease', seen[2], 'end', now_text,
                            'n', seen[4] or '', 'error', seen[5] or ''})
    end
  end
  for i = first, last, TASK_ARGUMENTS do
    know(args[i])
    add_arguments(args, i)
  end
  return 'ok'
end

-- complete: ARGV = now, tail, how long results are kept, number of arguments about a hand (0, or as for
-- `take` after its name: hand, how long to park it, size, duration, worker, queues), then for each completion: id, token, result and
-- '' if it's as the one before and has nothing more; else the number of follow-ups, queue, unique key,
-- '' or anything if it can't be stored, seven for each follow-up (as in end.lua). Returns the number of
-- completions if all took effect; else for each: ok, stale, cancelled, faulty, or 'missing ID'. With a hand,
-- which is parked if nothing is ready, {that, milliseconds until something falls due or '', or '-' if it
-- wasn't parked}.
register('complete', {'allow-oom'}, function(args)
  tail = args[2]
  local handed = tonumber(args[4])
  local ttl, total, at, size = args[3], #args, 5 + handed, 0
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
  if handed == 0 then return answers or size end
  finish()
  return {answers or size, park_idle(args, 5, 4 + handed)}
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
