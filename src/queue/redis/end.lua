-- How tasks are made, go back and end. A task that ends may start or fail those that follow it,
-- by a loop over `unsettled`, not by recursion: chains may be long.

local function is_live(status) return status == 'queued' or status == 'started' end

-- Of the tasks named in `after`: those not ended yet, and why this one can't start, if one of
-- them will not finish. One that is gone ended well and outlived its retention.
local function look_at_followed(after)
  local open, seen, obstacle = {}, {}, nil
  for id in gmatch(after, '%S+') do
    local status = call('HGET', status_key(id), 'status')
    if status and is_live(status) and not seen[id] then
      seen[id] = true
      open[#open + 1] = id
    elseif status == 'failed' then
      obstacle = {'conflict', 'task ' .. id .. ': followed by this one, failed'}
    elseif status == 'cancelled' then
      obstacle = {'cancelled', 'task ' .. id .. ': followed by this one, was cancelled'}
    end
  end
  if obstacle then open = {} end
  return open, obstacle
end

-- The first of the tasks named in `after` that isn't known.
local function missing(after)
  for id in gmatch(after, '%S+') do
    if call('EXISTS', status_key(id)) == 0 then return id end
  end
end

local function follow(id, open)
  for _, followed in ipairs(open) do
    call('SADD', prefix .. 'task:' .. followed .. ':followers', id)
    add_flag(followed, 'f')
  end
end

local leave_letter

local function list_in_index(id, number)
  local part = part_of(number)
  local listed = indexed[part]
  if listed then listed[#listed + 1] = id else indexed[part] = {id} end
end

-- A task with nothing but a definition; where it goes is up to the caller. Returns its id.
local function create(definition)
  local id, number = next_id()
  local length = #definition
  if length <= PIECE_BYTES then
    call('HSET', status_key(id), 'status', 'queued', 'i', format('%d', number * 16 + 1), '0', definition)
  elseif length <= 2 * PIECE_BYTES then
    call('HSET', status_key(id), 'status', 'queued', 'i', format('%d', number * 16 + 2),
         '0', sub(definition, 1, PIECE_BYTES), '1', sub(definition, PIECE_BYTES + 1))
  elseif length <= 3 * PIECE_BYTES then
    call('HSET', status_key(id), 'status', 'queued', 'i', format('%d', number * 16 + 3),
         '0', sub(definition, 1, PIECE_BYTES), '1', sub(definition, PIECE_BYTES + 1, 2 * PIECE_BYTES),
         '2', sub(definition, 2 * PIECE_BYTES + 1))
  elseif length <= PIECES_BYTES_MAX then
    local hash, pieces = {'status', 'queued', 'i', 0}, 0
    for first = 1, length, PIECE_BYTES do
      hash[5 + 2 * pieces] = DIGITS[pieces]
      hash[6 + 2 * pieces] = sub(definition, first, first + PIECE_BYTES - 1)
      pieces = pieces + 1
    end
    hash[4] = format('%d', number * 16 + pieces)
    call('HSET', status_key(id), unpack(hash))
  else
    call('HSET', status_key(id), 'status', 'queued', 'i', number * 16)
    call('SET', prefix .. 'task:' .. id .. ':data', definition)
  end
  list_in_index(id, number)
  return id
end

local function add(queue, priority, definition, delay, unique, after, parent)
  if unique ~= '' then
    local holder = call('HGET', prefix .. 'queue:unique', unique)
    if holder then return holder end
  end
  local id = create(definition)
  local key = status_key(id)
  if unique ~= '' then call('HSET', prefix .. 'queue:unique', unique, id) end
  if parent ~= '' then call('SADD', prefix .. 'task:' .. parent .. ':children', id) end
  if delay > 0 then call('HSET', key, 'due', now + delay) end
  if after ~= '' then
    local open, obstacle = look_at_followed(after)
    if obstacle then
      if unique ~= '' then call('HDEL', prefix .. 'queue:unique', unique) end
      local task = define(load(id))
      tell(task, 'e', obstacle[2])
      set_error(task, obstacle[1], obstacle[2])
      call('HSET', key, 'status', 'failed', 'reason', 'dependency', 'end', now)
      call('RPUSH', queue_key(queue, 'failed'), id)
      count(queue, 'failed_total', 1)
      task.status = 'failed'
      leave_letter(task)
      return id
    end
    if #open > 0 then
      call('HSET', key, 'reason', 'waiting', 'b', #open)
      call('SADD', queue_key(queue, 'waiting'), id)
      follow(id, open)
      return id
    end
  end
  if delay > 0 then
    call('HSET', key, 'reason', 'delayed')
    put_delayed(queue, id, now + delay)
  else
    make_ready(queue, priority, id)
  end
  return id
end

-- Tasks as they stand in arguments: seven for each.
local TASK_ARGUMENTS = 7
local function check_arguments(args, at)
  if args[at + 5] ~= '' then return missing(args[at + 5]) end
end
local function add_arguments(args, at)
  return add(args[at], tonumber(args[at + 1]), args[at + 2], tonumber(args[at + 3]), args[at + 4],
             args[at + 5], args[at + 6])
end

-- What a task that failed for good leaves behind, in the queue that it named.
leave_letter = function(task)
  if task.letter_queue == '' then return end
  local code, message = match(task.error or '', '^([^\t]*)\t(.*)$')
  local epoch, counter = token_of(task)
  local payload = concat({
    '{"attempts":', task.attempts, ',"error":{"code":', cjson.encode(code or 'internal'),
    ',"message":', cjson.encode(message or ''), '},"kind":', cjson.encode(task.kind),
    ',"payload":', task.payload, ',"task_id":"', task.id, '","token":[', epoch, ',', counter, ']}'})
  local numbers = tostring(task.priority)
  if task.policy then numbers = numbers .. ' 600000 ' .. task.policy end
  local definition = netstrings({task.letter_queue, task.letter_kind, numbers, '', task.unique, '',
                                 '', ''}) .. payload
  know(task.letter_queue)
  add(task.letter_queue, task.priority, definition, 0, task.unique, '', '')
end

-- Tells those who wait for its end (Await) what changed since they saw it: netstrings of id, result,
-- progress and then of fields and values of the hash. They read it without asking again.
local function announce(id, ears, result, changed)
  local progress = call('GET', prefix .. 'task:' .. id .. ':progress') or ''
  local message = netstrings({id, result, progress, unpack(changed)})
  for ear in gmatch(ears, '%S+') do call('SPUBLISH', ear, message) end
end

-- Out of the place where a task of its present status stands.
local function leave_place(task)
  local queue, id = task.queue, task.id
  if task.status == 'started' then
    call('ZREM', queue_key(queue, 'leases'), claim_of(task))
    call('SREM', queue_key(queue, 'processing'), id)
  elseif task.reason == 'delayed' then
    call('ZREM', queue_key(queue, 'delayed'), id)
  elseif task.reason == 'waiting' then
    call('SREM', queue_key(queue, 'waiting'), id)
    for followed in gmatch(task.after, '%S+') do
      call('SREM', prefix .. 'task:' .. followed .. ':followers', id)
    end
  elseif task.status == 'queued' then
    if not strike(queue_key(queue, task.priority), id) then
      count(queue, 'ghosts_ready', 1)
    end
    strike(queue_key(queue, 'pending'), id)
  elseif task.status == 'failed' or task.status == 'cancelled' then
    if not strike(queue_key(queue, task.status), id) then
      count(queue, 'ghosts_' .. task.status, 1)
    end
  end
end

local settle

-- Ends a task as failed or cancelled. Expects its error to be set and its events told.
local function end_task(task, status, reason)
  leave_place(task)
  local key = status_key(task.id)
  call('HSET', key, 'status', status, 'end', now, 'n', counts_of(task))
  if reason then call('HSET', key, 'reason', reason) else call('HDEL', key, 'reason') end
  task.status, task.reason = status, reason
  if task.unique ~= '' and call('HGET', prefix .. 'queue:unique', task.unique) == task.id then
    call('HDEL', prefix .. 'queue:unique', task.unique)
  end
  call('RPUSH', queue_key(task.queue, status), task.id)
  if status == 'failed' then
    count(task.queue, 'failed_total', 1)
    leave_letter(task)
  end
  if task.x or task.w then call('SREM', marked_key(), task.id) end
  if task.w then announce(task.id, task.w, '', call('HGETALL', key)) end
  if task.followed then settle(task) end
end

local function end_cancelled(task)
  tell(task, 'x')
  end_task(task, 'cancelled')
end

-- Starts one that waits no longer for anything.
local function unblock(task)
  local key = status_key(task.id)
  local left = call('HINCRBY', key, 'b', -1)
  if left > 0 then return end
  call('SREM', queue_key(task.queue, 'waiting'), task.id)
  call('HDEL', key, 'b')
  local due = tonumber(task.due) or 0
  if due > now then
    call('HSET', key, 'reason', 'delayed')
    put_delayed(task.queue, task.id, due)
  else
    call('HDEL', key, 'reason')
    if task.due then call('HSET', key, 'lease', past_lease(task)) end
    make_ready(task.queue, task.priority, task.id)
  end
end

local function settle_one(ended)
  local key = prefix .. 'task:' .. ended.id .. ':followers'
  local followers = call('SMEMBERS', key)
  table.sort(followers)
  call('DEL', key)
  drop_flag(ended.id, 'f')
  for _, id in ipairs(followers) do
    local task = load(id)
    if task and task.reason == 'waiting' then
      define(task)
      if ended.status == 'finished' then
        unblock(task)
      else
        local cancelled = ended.status == 'cancelled'
        local message = 'task before this one: ' .. (cancelled and 'was cancelled' or 'failed')
        local why = match(ended.error or '', '^[^\t]*\t(.*)$')
        if why then message = message .. ': ' .. why end
        -- A chain of failures would otherwise tell its beginning once per link.
        message = line_of(message, 1000)
        tell(task, 'e', message)
        set_error(task, cancelled and 'cancelled' or 'conflict', message)
        end_task(task, 'failed', 'dependency')
      end
    end
  end
end

settle = function(ended)
  unsettled[#unsettled + 1] = ended
  if settling then return end
  settling = true
  local first = 1
  while unsettled[first] do
    settle_one(unsettled[first])
    unsettled[first] = false
    first = first + 1
  end
  unsettled, settling = {}, false
end

-- Queues a started task again.
local function put_back(task, delay)
  local id, key = task.id, status_key(task.id)
  leave_place(task)
  call('HSET', key, 'status', 'queued', 'n', counts_of(task), 'due', now + delay,
       'lease', past_lease(task))
  call('DEL', prefix .. 'task:' .. id .. ':progress')
  if delay > 0 then
    call('HSET', key, 'reason', 'delayed')
    put_delayed(task.queue, id, now + delay)
  else
    call('HDEL', key, 'reason')
    put_first(task.queue, task.priority, id)
  end
end

-- The lease of a started task ran out.
local function lose(task)
  define(task)
  if task.cancelled then return end_cancelled(task) end
  tell(task, 'l')
  task.attempts, task.losses = task.attempts + 1, task.losses + 1
  if task.losses < task.losses_max then return put_back(task, 0) end
  set_error(task, 'timeout', 'lease: ran out ' .. task.losses .. ' times, last with worker ' ..
            worker_of(task))
  end_task(task, 'failed', 'lost')
end

-- The task, if the claim is that of its latest lease and that hasn't run out.
local function held(claim)
  local task = load(id_of(claim))
  if not task or task.status ~= 'started' or claim_of(task) ~= claim or until_of(task.lease) <= now then
    return nil
  end
  return define(task)
end

-- Recovers leases that ran out and starts delayed tasks whose time has come: at most so many. Returns
-- how many there were, and when the next one falls due, if there is one and that wasn't all.
local function see_to_overdue(queue, count_max)
  local key, seen, due = queue_key(queue, 'leases'), 0, math.huge
  local first = call('ZRANGE', key, '0', '0', 'WITHSCORES')[2]
  if first and tonumber(first) <= now then
    local lost = call('ZRANGE', key, '-inf', now, 'BYSCORE', 'LIMIT', 0, count_max)
    for _, claim in ipairs(lost) do
      local task = load(id_of(claim))
      if task and task.status == 'started' and claim_of(task) == claim then
        lose(task)
      else  -- deleted by hand, or expired
        call('ZREM', key, claim)
        call('SREM', queue_key(queue, 'processing'), id_of(claim))
      end
    end
    seen = #lost
    first = call('ZRANGE', key, '0', '0', 'WITHSCORES')[2]
  end
  if first then due = tonumber(first) end
  key = queue_key(queue, 'delayed')
  first = call('ZRANGE', key, '0', '0', 'WITHSCORES')[2]
  if first and tonumber(first) <= now then
    local ready = call('ZRANGE', key, '-inf', now, 'BYSCORE', 'LIMIT', 0, count_max)
    for _, id in ipairs(ready) do
      call('ZREM', key, id)
      local task = load(id)
      if task then
        define(task)
        call('HDEL', status_key(id), 'reason')
        if task.lease then
          put_first(queue, task.priority, id)
        else
          call('HSET', status_key(id), 'lease', past_lease(task))
          make_ready(queue, task.priority, id)
        end
      end
    end
    seen = seen + #ready
    first = call('ZRANGE', key, '0', '0', 'WITHSCORES')[2]
  end
  if first then due = min(due, tonumber(first)) end
  return seen, due
end
