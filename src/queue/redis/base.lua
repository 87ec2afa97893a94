-- What all functions share: keys, time, ids, and lists whose members may have to leave early.
--
-- The first (and only) key of every call is PREFIX .. 'queue:meta'. It decides which node of a
-- cluster runs the call; all other keys are made from PREFIX, which holds them in the same slot.
-- The first argument is the time in milliseconds, or '' for the server's own.
--
-- task:ID:status, a hash kept small enough for Redis's compact encoding:
--   status    queued, started, finished, failed or cancelled
--   reason    only if there is one: delayed, waiting, quarantined, lost, dependency
--   0, 1, ..  the task's definition in pieces of 64 bytes; a longer one stands in task:ID:data
--   i         16 times its number, which tells its place in the index, and the number of pieces
--   lease     'UNTIL EPOCH COUNTER STARTED WORKER' of the latest lease; '-' for the times once the
--             task went back. UNTIL has 13 digits. A task that is ready and has more to tell than its
--             definition (due, n, error) has this field, with epoch and counter 0 if it was never leased
--   n         'ATTEMPTS ERRORS CRASHES LOSSES', once any of them isn't 0
--   due       not before, when that isn't the time of creation
--   end       when it ended
--   error     'CODE<tab>MESSAGE' of the last attempt that failed
--   b         how many it still waits for
--   x         c when its cancellation was asked for, f when others follow it
--   w         ears: channels of those who wait for its end, at most eight. A task that hasn't ended and
--             has x or w also stands in queue:marked
--
-- A lease is named by its claim, 'ID EPOCH COUNTER': what its holder shows, and what stands in
-- queue:NAME:leases. Whoever finds a claim there knows without another look that the task is started
-- and that this is its latest lease.
--
-- A definition is eight fields as LENGTH:TEXT (queue, kind, 'PRIORITY [TIMEOUT [POLICY]]', parent,
-- unique key, tasks that it follows, queue and kind of its dead letter) and then the payload.

-- While a library is loaded there are no other globals than `redis`: begin() fetches them.
local call, sub, find, match, gmatch, gsub, format, floor, min, max, concat

local PIECE_BYTES = 64          -- hash-max-listpack-value
local PIECES_BYTES_MAX = 512    -- a longer definition is cheaper as a string of its own
local INDEX_PART = 128          -- ids in one list of the index
local SEARCHED_MAX = 1000       -- of a list, from either end, for a member that leaves early
local ARGUMENTS_MAX = 4000      -- of one command: unpack() has a limit

-- Of the call under way.
local prefix, tagged, meta, now, now_text, tail, ids, indexed, readied, unsettled, settling, woken, hurried

-- Names of keys and fields by queue, which cost more to make than to remember.
local names, names_size

local function begin(keys, args)
  if not call then
    call = redis.call
    sub, find, match = string.sub, string.find, string.match
    gmatch, gsub, format = string.gmatch, string.gsub, string.format
    floor, min, max, concat = math.floor, math.min, math.max, table.concat
  end
  if keys[1] ~= meta then
    meta, prefix, names, names_size = keys[1], sub(keys[1], 1, -11), {}, 0
    tagged = find(prefix, '{', 1, true)
  end
  -- While a cluster moves our slot away, a command on a key that isn't there (any more) is an error, which
  -- would end the call with half of it done. So it is met before anything is written.
  if tagged then call('EXISTS', prefix .. 'queue:none') end
  now = tonumber(args[1])
  if not now then
    local time = call('TIME')
    now = time[1] * 1000 + floor(time[2] / 1000)
  end
  now_text = format('%d', now)
  ids, indexed, readied, unsettled, settling, woken, hurried = nil, {}, {}, {}, false, {}, {}
end

local function status_key(id) return prefix .. 'task:' .. id .. ':status' end

local function names_of(queue)
  local known = names[queue]
  if not known then
    if names_size == 1000 then names, names_size = {}, 0 end
    known = {
      known_field = 'known:' .. queue, leases_field = 'leases:' .. queue,
      paused_field = 'paused:' .. queue,
      [0] = prefix .. 'queue:' .. queue .. ':priority:high',
      [1] = prefix .. 'queue:' .. queue .. ':priority:normal',
      [2] = prefix .. 'queue:' .. queue .. ':priority:low'}
    names[queue], names_size = known, names_size + 1
  end
  return known
end
local function queue_key(queue, part)
  local known = names_of(queue)
  local key = known[part]
  if not key then
    key = prefix .. 'queue:' .. queue .. ':' .. part
    known[part] = key
  end
  return key
end
-- Numbers are made text where that happens for every task: Redis takes them for fractions, which costs
-- more.
local function count(queue, what, by)
  call('HINCRBY', queue_key(queue, 'stats'), what, format('%d', by))
end

-- One command with many values, in as few calls as the limit on arguments allows. What the last
-- one returned.
local function spread(command, key, values)
  local answer
  for first = 1, #values, ARGUMENTS_MAX do
    answer = call(command, key, unpack(values, first, min(first + ARGUMENTS_MAX - 1, #values)))
  end
  return answer
end

local DIGITS = {[0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
                'G', 'H', 'J', 'K', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z'}

local function encode(number, digits)
  local out = {}
  for i = digits, 1, -1 do
    local digit = number % 32
    out[i] = DIGITS[digit]
    number = (number - digit) / 32
  end
  return concat(out)
end

local encoded_high, encoded  -- of the call before: but for the last three digits, which change most
local function encode_time(ms)
  local low = ms % 32768
  local high = (ms - low) / 32768
  if high ~= encoded_high then encoded_high, encoded = high, 't' .. encode(high, 7) end
  return encoded .. encode(low, 3)
end

-- Where ids and leases go on. Whether a queue has been seen before, which costs nothing to ask along
-- with it.
local function load_ids(queue)
  local own = names_of(queue)
  local last = call('HMGET', meta, 'ms', 'seq', 'serial', own.known_field, 'epoch', 'counter',
                    own.leases_field, own.paused_field)
  ids = {ms = tonumber(last[1]) or 0, seq = tonumber(last[2]) or 0, serial = tonumber(last[3]) or 0,
         epoch = last[5] or '0', counter = tonumber(last[6]) or 0, leases = tonumber(last[7]) or 0,
         paused = last[8]}
  if now > ids.ms then ids.ms, ids.seq = now, -1 end
  ids.time = encode_time(ids.ms)
  return last[4]
end

local function know(queue)
  call('SADD', prefix .. 'queue:names', queue)
  call('HSET', meta, 'known:' .. queue, 1)
end

-- 't', ten digits of milliseconds, four that count within them, twelve at random.
local function next_id()
  if not ids then load_ids('') end
  local seq = ids.seq + 1
  if seq == 1048576 then
    ids.ms, seq = ids.ms + 1, 0
    ids.time = encode_time(ids.ms)
  end
  local digit = seq % 32
  if digit == 0 or not ids.head then ids.head = ids.time .. encode((seq - digit) / 32, 3) end
  ids.seq, ids.serial = seq, ids.serial + 1
  return ids.head .. DIGITS[digit] .. tail, ids.serial
end

local function part_of(number) return floor(number / INDEX_PART) end

-- Text without control characters and at most `bytes` long, cut between characters of UTF-8.
local function line_of(text, bytes)
  if #text > bytes then
    while bytes > 0 do
      local byte = string.byte(text, bytes + 1)
      if byte < 128 or byte >= 192 then break end
      bytes = bytes - 1
    end
    text = sub(text, 1, bytes)
  end
  return (gsub(text, '%c', ' '))
end

local function load(id)
  local flat = call('HGETALL', status_key(id))
  if #flat == 0 then return nil end
  local task = {id = id}
  for i = 1, #flat, 2 do task[flat[i]] = flat[i + 1] end
  if task.x then
    task.cancelled = find(task.x, 'c', 1, true)
    task.followed = find(task.x, 'f', 1, true)
  end
  return task
end

local function marked_key() return prefix .. 'queue:marked' end
local function add_flag(id, letter)
  local key = status_key(id)
  local letters = call('HGET', key, 'x') or ''
  if find(letters, letter, 1, true) then return end
  call('HSET', key, 'x', letters .. letter)
  call('SADD', marked_key(), id)
end
local function add_ear(id, ear)
  local key = status_key(id)
  local ears = call('HGET', key, 'w')
  if ears then
    local _, size = gsub(ears, ' ', ' ')
    if size == 7 then ears = match(ears, ' (.*)$') end
    ear = ears .. ' ' .. ear
  end
  call('HSET', key, 'w', ear)
  call('SADD', marked_key(), id)
end
local function drop_flag(id, letter)
  local key = status_key(id)
  local letters = gsub(call('HGET', key, 'x') or '', letter, '')
  if letters == '' then
    call('HDEL', key, 'x')
    call('SREM', marked_key(), id)
  else
    call('HSET', key, 'x', letters)
  end
end

local function definition_of(task)
  if not task['0'] then return call('GET', prefix .. 'task:' .. task.id .. ':data') or '' end
  local pieces, i = {}, 0
  while task[tostring(i)] do
    pieces[i + 1] = task[tostring(i)]
    i = i + 1
  end
  return concat(pieces)
end

local function queue_of(task)
  local text = task['0'] or definition_of(task)
  local length = match(text, '^(%d+):') or ''
  return sub(text, #length + 2, #length + 1 + (tonumber(length) or 0))
end

-- Adds the fields of its definition to a task.
local function define(task)
  if task.queue then return task end
  local text, fields, at = definition_of(task), {}, 1
  for i = 1, 8 do
    local colon = find(text, ':', at, true)
    if not colon then break end
    local length = tonumber(sub(text, at, colon - 1))
    fields[i] = sub(text, colon + 1, colon + length)
    at = colon + length + 1
  end
  task.queue, task.kind, task.parent, task.unique = fields[1] or '', fields[2], fields[4], fields[5]
  task.after, task.letter_queue, task.letter_kind = fields[6] or '', fields[7] or '', fields[8]
  task.payload = sub(text, at)
  local numbers = {}
  for number in gmatch(fields[3] or '', '%d+') do numbers[#numbers + 1] = tonumber(number) end
  task.priority = numbers[1] or 1
  task.policy = match(fields[3] or '', '^%d+ %d+ (.+)$')
  task.errors_max, task.crashes_max, task.losses_max = numbers[3] or 5, numbers[4] or 2, numbers[5] or 10
  task.backoff_first, task.backoff_max = numbers[6] or 1000, numbers[7] or 300000
  local a, e, c, l = match(task.n or '', '^(%d+) (%d+) (%d+) (%d+)$')
  task.attempts, task.errors = tonumber(a) or 0, tonumber(e) or 0
  task.crashes, task.losses = tonumber(c) or 0, tonumber(l) or 0
  return task
end

local function counts_of(task)
  return concat({task.attempts, task.errors, task.crashes, task.losses}, ' ')
end

local function token_of(task)
  local epoch, counter = match(task.lease or '', '^%S+ (%d+) (%d+) ')
  return epoch or '0', counter or '0'
end
local function claim_of(task) return concat({task.id, token_of(task)}, ' ') end
local function id_of(claim) return sub(claim, 1, 27) end
local function started_of(lease) return tonumber(match(lease or '', '^%S+ %d+ %d+ (%d+)')) end
local function until_of(lease) return tonumber(sub(lease, 1, 13)) end
local function worker_of(task) return match(task.lease or '', '^%S+ %d+ %d+ %S+ (.*)$') or '' end
-- Of a task that goes back: the token and the worker stay known.
local function past_lease(task)
  local epoch, counter = token_of(task)
  return concat({'-', epoch, counter, '-', worker_of(task)}, ' ')
end

local function set_error(task, code, message)
  task.error = code .. '\t' .. message
  call('HSET', status_key(task.id), 'error', task.error)
end

-- A task's history is what its hash implies (enqueued; started by whom; finished) and, once more
-- than that happened, the lines of task:ID:events: KIND MILLISECONDS [TAB worker [TAB detail]].
-- `started` writes down what the hash implied until now.
local function tell(task, kind, detail)
  local line = kind .. now
  if detail then line = line .. '\t\t' .. line_of(detail, 500) end
  if task.status == 'started' and not task.told then
    line = 's' .. started_of(task.lease) .. '\t' .. line_of(worker_of(task), 500) .. '\n' .. line
    task.told = true
  end
  local key = prefix .. 'task:' .. task.id .. ':events'
  -- Bounded: a task that is released again and again keeps the latest part of its history.
  if call('APPEND', key, line .. '\n') > 16000 then
    call('SET', key, call('GETRANGE', key, -8000, -1))
  end
end

-- Takes a member out of the middle of a list, if it's near one of its ends; else its ghost stays
-- until it comes to the front, and is counted.
local function strike(key, id)
  if call('LPOS', key, id, 'MAXLEN', SEARCHED_MAX) then return call('LREM', key, 1, id) > 0 end
  if call('LPOS', key, id, 'RANK', -1, 'MAXLEN', SEARCHED_MAX) then return call('LREM', key, -1, id) > 0 end
  return false
end

-- To those who sleep until there is work (take.lua): so many tasks of a queue that were ready; that the
-- next task falls due earlier than they know.
local serve, hurry

-- At the end of every call.
local function finish()
  if ids then
    local ms, seq, serial = format('%d', ids.ms), format('%d', ids.seq), format('%d', ids.serial)
    if ids.leased then
      call('HSET', meta, 'ms', ms, 'seq', seq, 'serial', serial, 'counter',
           format('%d', ids.counter), names_of(ids.leased).leases_field, format('%d', ids.leases))
    else
      call('HSET', meta, 'ms', ms, 'seq', seq, 'serial', serial)
    end
    ids = nil
  end
  for part, values in pairs(indexed) do spread('RPUSH', prefix .. 'queue:index:' .. part, values) end
  for queue, lists in pairs(readied) do
    local woke = false
    for priority = 0, 2 do
      local values = lists[priority]
      if #values > 0 then
        local length = spread('RPUSH', queue_key(queue, priority), values)
        woke = woke or length == #values
      end
    end
    spread('RPUSH', queue_key(queue, 'pending'), lists.all)
    -- Nobody sleeps while a list isn't empty: who looks takes from it.
    if woke then woken[queue] = (woken[queue] or 0) + #lists.all end
  end
  indexed, readied = {}, {}
  for queue, size in pairs(woken) do serve(queue, size) end
  for queue in pairs(hurried) do hurry(queue) end
  woken, hurried = {}, {}
end

-- What becomes ready in a queue at the end of the call: at the back, by priority and all together.
local function ready_lists(queue)
  local lists = readied[queue]
  if not lists then
    lists = {[0] = {}, [1] = {}, [2] = {}, all = {}}
    readied[queue] = lists
  end
  return lists
end
local function make_ready(queue, priority, id)
  local lists = ready_lists(queue)
  local list, all = lists[priority], lists.all
  list[#list + 1] = id
  all[#all + 1] = id
end

-- To the front, for what had its turn before.
local function put_first(queue, priority, id)
  if call('LPUSH', queue_key(queue, priority), id) == 1 then
    woken[queue] = (woken[queue] or 0) + 1
  end
  call('LPUSH', queue_key(queue, 'pending'), id)
end

local function put_delayed(queue, id, due)
  local key = queue_key(queue, 'delayed')
  call('ZADD', key, due, id)
  -- Who sleeps until the first is due has to look again when there is an earlier one.
  if call('ZRANGE', key, 0, 0)[1] == id then hurried[queue] = true end
end

-- How netstrings begin: made once, since Redis's Lua writes numbers as fractions.
local heads = {}
local function head_of(text)
  local length = #text
  local head = heads[length]
  if not head then
    head = format('%d:', length)
    if length < 1000 then heads[length] = head end
  end
  return head
end
local function netstrings(fields)
  local out, size = {}, #fields
  for i = 1, size do
    local text = fields[i]
    out[2 * i - 1], out[2 * i] = head_of(text), text
  end
  return concat(out)
end

local function fault(code, message) return redis.error_reply('MSEARCH ' .. code .. ' ' .. message) end
local function unknown(id) return fault('not_found', 'task ' .. id .. ': not known') end

local function register(name, flags, body)
  redis.register_function{
    function_name = '@LIBRARY@_' .. name,
    flags = flags,
    callback = function(keys, args)
      begin(keys, args)
      local answer = body(args)
      finish()
      return answer
    end}
end
