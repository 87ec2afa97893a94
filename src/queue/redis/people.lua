-- What people ask for, house-keeping, and who is alive.

-- cancel: ARGV = now, tail, id. Errors not_found, conflict.
register('cancel', {'allow-oom'}, function(args)
  tail = args[2]
  local task = load(args[3])
  if not task then return unknown(args[3]) end
  if not is_live(task.status) then
    return fault('conflict', 'task ' .. args[3] .. ': has ended already, ' .. task.status)
  end
  define(task)
  if task.status == 'started' then
    add_flag(task.id, 'c')
  else
    end_cancelled(task)
  end
  return 1
end)

-- retry: ARGV = now, tail, id. Errors not_found, conflict.
register('retry', {}, function(args)
  tail = args[2]
  local id = args[3]
  local task = load(id)
  if not task then return unknown(id) end
  define(task)
  local lost = task.status == 'started' and until_of(task.lease) <= now
  if not lost and task.status ~= 'failed' and task.status ~= 'cancelled' then
    return fault('conflict', 'task ' .. id .. ": can't be retried while it is " .. task.status)
  end
  if not lost and task.unique ~= '' and call('HEXISTS', prefix .. 'queue:unique', task.unique) == 1 then
    return fault('conflict', 'task ' .. id .. ': another task with its unique key is under way')
  end
  local open, obstacle = look_at_followed(task.after)
  if obstacle then return fault('conflict', obstacle[2] .. ': retry that first') end
  tell(task, 't')
  leave_place(task)
  if task.unique ~= '' then call('HSET', prefix .. 'queue:unique', task.unique, id) end
  local key = status_key(id)
  call('HDEL', key, 'n', 'end', 'reason', 'b', 'w')
  drop_flag(id, 'c')
  call('HSET', key, 'status', 'queued', 'due', now)
  call('HSET', key, 'lease', past_lease(task))
  call('DEL', prefix .. 'task:' .. id .. ':progress')
  if #open > 0 then
    follow(id, open)
    call('HSET', key, 'reason', 'waiting', 'b', #open)
    call('SADD', queue_key(task.queue, 'waiting'), id)
  else
    put_first(task.queue, task.priority, id)
  end
  return 1
end)

-- pause: ARGV = now, tail, queue, '1' or '0'.
register('pause', {'allow-oom'}, function(args)
  local queue = args[3]
  know(queue)
  if args[4] == '1' then
    call('HSET', meta, 'paused:' .. queue, 1)
  else
    call('HDEL', meta, 'paused:' .. queue)
    woken[queue] = call('LLEN', queue_key(queue, 'pending'))
  end
  return 1
end)

-- overdue: ARGV = now, tail, how many at most. Recovers leases that ran out and starts delayed tasks.
-- Returns how many there were.
register('overdue', {'allow-oom'}, function(args)
  tail = args[2]
  local seen = 0
  for _, queue in ipairs(call('SMEMBERS', prefix .. 'queue:names')) do
    seen = seen + see_to_overdue(queue, max(1, tonumber(args[3]) - seen))
  end
  return seen
end)

local function delete_task(id)
  local keys = {}
  for i, part in ipairs({'status', 'data', 'result', 'progress', 'events', 'followers'}) do
    keys[i] = prefix .. 'task:' .. id .. ':' .. part
  end
  call('DEL', unpack(keys))
end

local function remove(id)
  local task = load(id)
  if not task then return end
  define(task)
  if task.parent ~= '' then call('SREM', prefix .. 'task:' .. task.parent .. ':children', id) end
  if task.i then
    call('LREM', prefix .. 'queue:index:' .. part_of(floor(tonumber(task.i) / 16)), 1, id)
  end
  delete_task(id)
end

-- When the oldest of a queue's ended tasks ended. Ghosts before it are dropped.
local function oldest(queue, status)
  local key = queue_key(queue, status == 'finished' and 'completed' or status)
  while true do
    local id = call('LINDEX', key, 0)
    if not id then return nil end
    local seen = call('HMGET', status_key(id), 'status', 'end')
    if seen[1] == status then return tonumber(seen[2]), id, key end
    call('LPOP', key)
    if status ~= 'finished' then count(queue, 'ghosts_' .. status, -1) end
  end
end

-- remove: ARGV = now, tail, status, ended until, how many at most. Removes the oldest ended tasks.
-- Returns how many there were.
register('remove', {'allow-oom'}, function(args)
  local removed = 0
  for _, queue in ipairs(call('SMEMBERS', prefix .. 'queue:names')) do
    while removed < tonumber(args[5]) do
      local ended, id, key = oldest(queue, args[3])
      if not ended or ended > tonumber(args[4]) then break end
      call('LPOP', key)
      remove(id)
      removed = removed + 1
    end
  end
  return removed
end)

local function number(text) return tonumber(text or 0) or 0 end

-- Index lists before this one are gone.
local function first_part()
  local ends = call('HMGET', meta, 'first', 'serial')
  local first, last = number(ends[1]), part_of(number(ends[2]))
  local before = first
  while first < last and first < before + 1000 and
        call('EXISTS', prefix .. 'queue:index:' .. first) == 0 do
    first = first + 1
  end
  if first > before then call('HSET', meta, 'first', first) end
end

-- excess: ARGV = now, tail, how many ended tasks may stay, how many to remove at most. Returns how many
-- were removed, the oldest of all queues first.
register('excess', {'allow-oom'}, function(args)
  first_part()
  local names = call('SMEMBERS', prefix .. 'queue:names')
  local total = 0
  for _, queue in ipairs(names) do
    local ghosts = call('HMGET', queue_key(queue, 'stats'), 'ghosts_failed', 'ghosts_cancelled')
    total = total + call('LLEN', queue_key(queue, 'completed')) +
            call('LLEN', queue_key(queue, 'failed')) - number(ghosts[1]) +
            call('LLEN', queue_key(queue, 'cancelled')) - number(ghosts[2])
  end
  local excess, removed = min(total - tonumber(args[3]), tonumber(args[4])), 0
  if excess <= 0 then return 0 end
  local heads = {}
  for _, queue in ipairs(names) do
    for _, status in ipairs({'finished', 'failed', 'cancelled'}) do
      local ended, id, key = oldest(queue, status)
      if ended then
        heads[#heads + 1] = {queue = queue, status = status, ended = ended, id = id, key = key}
      end
    end
  end
  while removed < excess do
    local first
    for _, head in ipairs(heads) do
      if head.ended and (not first or head.ended < first.ended) then first = head end
    end
    if not first then break end
    call('LPOP', first.key)
    remove(first.id)
    removed = removed + 1
    first.ended, first.id, first.key = oldest(first.queue, first.status)
  end
  return removed
end)

-- stats: ARGV = now, tail. Returns for each queue: name, queued, delayed, started, finished, failed,
-- cancelled, finished ever, failed ever, '1' if paused, mean milliseconds of the last 100.
register('stats', {'no-writes'}, function(args)
  local names = call('SMEMBERS', prefix .. 'queue:names')
  table.sort(names)
  local answer = {}
  for _, queue in ipairs(names) do
    local stats = call('HMGET', queue_key(queue, 'stats'), 'finished_total', 'failed_total',
                       'ghosts_ready', 'ghosts_failed', 'ghosts_cancelled')
    local paused = call('HEXISTS', meta, 'paused:' .. queue)
    local delayed = call('ZCARD', queue_key(queue, 'delayed'))
    local queued = delayed + call('SCARD', queue_key(queue, 'waiting')) - number(stats[3])
    for priority = 0, 2 do
      queued = queued + call('LLEN', queue_key(queue, priority))
    end
    local sum, counted = 0, 0
    for _, id in ipairs(call('LRANGE', queue_key(queue, 'completed'), -100, -1)) do
      local times = call('HMGET', status_key(id), 'lease', 'end')
      local started = started_of(times[1])
      if started and times[2] then sum, counted = sum + times[2] - started, counted + 1 end
    end
    for _, value in ipairs({
      queue, queued, delayed, call('SCARD', queue_key(queue, 'processing')),
      call('LLEN', queue_key(queue, 'completed')),
      call('LLEN', queue_key(queue, 'failed')) - number(stats[4]),
      call('LLEN', queue_key(queue, 'cancelled')) - number(stats[5]),
      number(stats[1]), number(stats[2]), paused,
      counted > 0 and sum / counted or 0}) do
      answer[#answer + 1] = tostring(value)
    end
  end
  return answer
end)

local function flag(value) return value and '1' or '' end

-- look: ARGV = any time, tail, the ear of who wants to be told of the end of what hasn't ended, or '', then
-- ids. Returns for each that is known: id, its hash, definition if it stands apart, result, progress, history, '1' if its
-- queue is paused.
register('look', {'allow-oom'}, function(args)
  local answer = {}
  for i = 4, #args do
    local id = args[i]
    local key = status_key(id)
    local flat = call('HGETALL', key)
    if #flat > 0 then
      local task = {id = id}
      for j = 1, #flat, 2 do task[flat[j]] = flat[j + 1] end
      if args[3] ~= '' and is_live(task.status) then add_ear(id, args[3]) end
      local paused = ''
      if task.status == 'queued' and not task.reason then
        paused = flag(call('HGET', meta, 'paused:' .. queue_of(task)))
      end
      local name = prefix .. 'task:' .. id
      local apart = call('MGET', name .. ':result', name .. ':progress', name .. ':events',
                         name .. ':data')
      answer[#answer + 1] = {id, flat, apart[4] or '', apart[1] or '', apart[2] or '',
                             apart[3] or '', paused}
    end
  end
  return answer
end)

-- Where an id stands in a list in which ids grow, or would stand. Tasks that came back or late stand
-- elsewhere: those are looked for, unless that isn't wanted.
local function place_of(key, id, exact)
  local first, last = 0, call('LLEN', key)
  while first < last do
    local middle = floor((first + last) / 2)
    if call('LINDEX', key, middle) < id then first = middle + 1 else last = middle end
  end
  if not exact or call('LINDEX', key, first) == id then return first end
  return call('LPOS', key, id) or first
end

-- ahead: ARGV = any time, tail, id. How many tasks of its queue are ready and would be leased before it; 0
-- for one that isn't queued. Error not_found.
register('ahead', {'no-writes'}, function(args)
  local task = load(args[3])
  if not task then return unknown(args[3]) end
  if task.status ~= 'queued' then return 0 end
  define(task)
  local ahead = 0
  for priority = 0, task.priority - 1 do
    ahead = ahead + call('LLEN', queue_key(task.queue, priority))
  end
  local key = queue_key(task.queue, task.priority)
  return ahead + place_of(key, task.id, not task.reason)
end)

-- epoch: ARGV = now, tail, epoch. Raises it to that.
register('epoch', {'allow-oom'}, function(args)
  local before = call('HGET', meta, 'epoch')
  if not before or tonumber(before) < tonumber(args[3]) then
    call('HSET', meta, 'epoch', args[3])
  end
  return 1
end)

-- own: ARGV = now, tail, library, its place, for how long in milliseconds (0: no longer), state id if there
-- is none, '1' to take the place of another library whose claim has ended. Returns the state id, or
-- nothing when that is needed; error conflict, with its place, while another library holds the queue.
register('own', {'allow-oom'}, function(args)
  local key = prefix .. 'queue:library'
  local seen = call('HMGET', key, 'id', 'place', 'till')
  if seen[1] and seen[1] ~= args[3] then
    if number(seen[3]) > now then return fault('conflict', seen[2] or '') end
    if args[7] ~= '1' then return '' end
  end
  -- Asked several times a second: written when half of the time is over.
  local till = now + tonumber(args[5])
  if seen[1] ~= args[3] or seen[2] ~= args[4] or till == now or
     number(seen[3]) - now < (till - now) / 2 then
    call('HSET', key, 'id', args[3], 'place', args[4], 'till', format('%d', till))
  end
  return call('SET', prefix .. 'queue:state', args[6], 'NX', 'GET') or args[6]
end)

-- clear: ARGV = now, tail, how many tasks at most. Removes what is in the queue, but not the numbers that only
-- grow. Returns how many tasks were removed; less than asked for when nothing is left.
register('clear', {'allow-oom'}, function(args)
  local limit, removed = tonumber(args[3]), 0
  local ends = call('HMGET', meta, 'first', 'serial')
  for part = number(ends[1]), part_of(number(ends[2])) do
    local key = prefix .. 'queue:index:' .. part
    for _, id in ipairs(call('LPOP', key, limit - removed) or {}) do
      delete_task(id)
      call('DEL', prefix .. 'task:' .. id .. ':children')
      removed = removed + 1
    end
    if removed == limit then return removed end
    call('HSET', meta, 'first', part)
  end
  for _, queue in ipairs(call('SMEMBERS', prefix .. 'queue:names')) do
    for priority = 0, 2 do call('DEL', queue_key(queue, priority)) end
    for _, part in ipairs({'pending', 'delayed', 'waiting', 'processing', 'leases', 'completed',
                           'failed', 'cancelled', 'stats'}) do
      call('DEL', queue_key(queue, part))
    end
    call('HDEL', meta, 'paused:' .. queue, 'known:' .. queue)
  end
  for _, part in ipairs({'names', 'unique', 'marked', 'state'}) do
    call('DEL', prefix .. 'queue:' .. part)
  end
  return removed
end)

-- beat: ARGV = now, tail, name as in process:NAME:status, longer name if another process has that one,
-- id, time to live, then fields and values of the hash. Returns 1.
register('beat', {'allow-oom'}, function(args)
  local name, id, ttl = args[3], args[5], tonumber(args[6])
  local holder = call('GET', prefix .. 'heartbeat:' .. name)
  if holder and holder ~= id then name = args[4] end
  call('SET', prefix .. 'heartbeat:' .. name, id, 'PX', ttl)
  local key = prefix .. 'process:' .. name .. ':status'
  call('HSET', key, 'id', id, 'seen_at', now, unpack(args, 7))
  call('PEXPIRE', key, ttl + 60000)
  local index = prefix .. 'process:index'
  call('ZADD', index, now + ttl, name)
  call('ZREMRANGEBYSCORE', index, '-inf', now - 60000)
  return 1
end)

-- forget: ARGV = now, tail, id, names that it may have.
register('forget', {'allow-oom'}, function(args)
  for i = 4, #args do
    local key = prefix .. 'process:' .. args[i] .. ':status'
    if call('HGET', key, 'id') == args[3] then
      call('DEL', key, prefix .. 'heartbeat:' .. args[i])
      call('ZREM', prefix .. 'process:index', args[i])
    end
  end
  return 1
end)

-- workers: ARGV = now, tail. Returns the hash of each process that is alive.
register('workers', {'no-writes'}, function(args)
  local answer = {}
  for _, name in ipairs(call('ZRANGE', prefix .. 'process:index', '(' .. now, '+inf', 'BYSCORE')) do
    answer[#answer + 1] = call('HGETALL', prefix .. 'process:' .. name .. ':status')
  end
  return answer
end)
