// Everything that only looks. What is asked by status comes from the list or set of that status;
// the rest from the index, lists of 128 ids each in order of their creation.
#include <algorithm>
#include <array>
#include <functional>

#include "base/strings.h"
#include "queue/embedded_schema.h"
#include "queue/redis_client.h"

namespace msearch::queue {
namespace {

using storage::RedisCommand;
using storage::RedisReply;

constexpr size_t kListMax = 10000;
constexpr size_t kLookedAtOnce = 200;
constexpr int64_t kIndexPart = 128;  // as in redis/base.lua
constexpr int64_t kPartsAtOnce = 16;
// A lease this near its end counts as stuck: a healthy worker extends it at a third of its time.
constexpr int64_t kStuckMs = 1000;

bool Matches(const Task& task, const std::string& payload, const TaskFilter& filter, UnixMs now) {
  const auto differs = [](const auto& wanted, const auto& actual) {
    return wanted && *wanted != actual;
  };
  if (differs(filter.queue, task.queue) || differs(filter.kind, task.kind) ||
      differs(filter.status, task.status) || differs(filter.reason, task.reason)) {
    return false;
  }
  if (!filter.parent.empty() && task.parent != filter.parent) return false;
  if (filter.stuck && (!task.lease_until || *task.lease_until > now + kStuckMs)) return false;
  if (filter.text.empty()) return true;
  const auto contains = [&](std::string_view text) {
    return text.find(filter.text) != std::string_view::npos;
  };
  return contains(payload) || contains(task.id) || (task.error && contains(PackError(*task.error)));
}

// Counts kept by queue answer this without looking at tasks.
bool IsCounted(const TaskFilter& filter) {
  return !filter.kind && !filter.reason && filter.text.empty() && !filter.stuck &&
         filter.parent.empty();
}

void ReadProgress(std::string_view text, Progress& progress) {
  if (text.empty()) return;
  const Result<Json> json = ParseJson(text);
  if (!json.ok()) return;
  progress.fraction = GetDouble(*json, "fraction").value_or(0);
  progress.stage = GetString(*json, "stage").value_or("");
  progress.message = GetString(*json, "message").value_or("");
}

// What doesn't stand in the hash.
Result<> AddRest(StoredTask& stored, std::string_view result, std::string_view progress) {
  Task& task = stored.task;
  if (!result.empty()) task.result = TRY(ParseJson(result));
  ReadProgress(progress, task.progress);
  task.payload = TRY(ParseJson(stored.payload));
  return Ok{};
}

// As in process:NAME:status and heartbeat:NAME, which are named as users know the processes. The
// longer name is for the second process of a kind of which there is one as a rule.
struct ProcessNames {
  std::string name;
  std::string longer;
};
// "host:pid:role:n", or with a part behind it: "host:pid:controller:1:commit" is what shows that
// the controller lives.
ProcessNames NamesOf(const std::string& id) {
  const std::vector<std::string_view> parts = Split(id, ':');
  if (parts.size() != 4 && parts.size() != 5) return {id, id};
  std::string role(parts[2]);
  if (role == "controller") role = "main";
  if (role == "monitor") role = "file_monitor";
  const bool single = role == "main" || role == "file_monitor" || role == "supervisor";
  const std::string place =
      std::string(parts[0]) + ":" + std::string(parts[1]) + ":" + std::string(parts[3]);
  std::string part;
  if (parts.size() == 5 && parts[4] != "commit") part = ":" + std::string(parts[4]);
  const std::string longer = role + ":" + place + part;
  return {single ? role + part : longer, longer};
}

WorkerInfo ReadWorker(const RedisReply& hash) {
  WorkerInfo worker;
  for (size_t i = 0; i + 1 < hash.items.size(); i += 2) {
    const std::string& field = hash.items[i].text;
    const RedisReply& value = hash.items[i + 1];
    if (field == "id") worker.id = value.text;
    if (field == "role") worker.role = value.text;
    if (field == "host") worker.host = value.text;
    if (field == "pid") worker.pid = value.AsInteger();
    if (field == "state") worker.state = value.text;
    if (field == "started_at") worker.started_at = value.AsInteger();
    if (field == "seen_at") worker.seen_at = value.AsInteger();
    if (field == "detail") worker.detail = ParseJson(value.text).value_or(Json::object());
  }
  return worker;
}

}  // namespace

Result<std::vector<RedisQueue::Seen>> RedisQueue::Look(std::span<const TaskId> ids) {
  if (ids.empty()) return std::vector<Seen>();
  RedisCommand command = Function("look", false);
  command.Add("");
  for (const TaskId& id : ids) command.Add(id);
  return ReadLook(TRY(Run(command)));
}

Result<std::vector<RedisQueue::Seen>> RedisQueue::ReadLook(const Reply& reply) {
  std::vector<Seen> all;
  for (const RedisReply& item : reply.items) {
    if (item.items.size() != 7)
      return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
    Seen seen;
    seen.stored = TRY(UnpackTask(item.items[0].text, item.items[1], item.items[2].text));
    TRY(AddRest(seen.stored, item.items[3].text, item.items[4].text));
    seen.events = item.items[5].text;
    Task& task = seen.stored.task;
    if (!item.items[6].text.empty() && task.reason.empty()) task.reason = "paused";
    all.push_back(std::move(seen));
  }
  return all;
}

Result<RedisQueue::Seen> RedisQueue::ReadEnd(const TaskId& id, Reply hash, std::string_view data,
                                             std::string_view told) {
  const std::vector<std::string_view> fields = TRY(CutNetstrings(told));
  if (fields.size() < 3) return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  const auto value_of = [&](std::string_view field) -> std::string& {
    size_t at = 0;
    while (at < hash.items.size() && hash.items[at].text != field) at += 2;
    if (at == hash.items.size()) hash.items.resize(at + 2);
    hash.items[at].text = field;
    return hash.items[at + 1].text;
  };
  value_of("reason").clear();  // why it had to wait
  for (size_t i = 3; i + 1 < fields.size(); i += 2) {
    if (!fields[i + 1].empty()) value_of(fields[i]) = fields[i + 1];
    if (fields[i] == "0") data = {};
  }
  Seen seen;
  seen.stored = TRY(UnpackTask(id, hash, data));
  TRY(AddRest(seen.stored, fields[1], fields[2]));
  return seen;
}

Result<RedisQueue::Seen> RedisQueue::LookAt(const TaskId& id) {
  std::vector<Seen> seen;
  if (CreatedAt(id)) seen = TRY(Look(std::span(&id, 1)));
  if (seen.empty()) return Error{Code::kNotFound, "task " + id + ": not known"};
  return std::move(seen.front());
}

Result<Task> RedisQueue::Get(const TaskId& id) { return TRY(LookAt(id)).stored.task; }

Result<std::vector<TaskEvent>> RedisQueue::Events(const TaskId& id) {
  const Seen seen = TRY(LookAt(id));
  return HistoryOf(seen.stored.task, seen.events);
}

Result<std::vector<std::string>> RedisQueue::QueueNames(const TaskFilter& filter) {
  if (filter.queue) return std::vector<std::string>{*filter.queue};
  return ReadLists({RedisCommand("SMEMBERS").Add(Key("queue:names"))});
}

Result<std::vector<std::string>> RedisQueue::ReadLists(const std::vector<Command>& commands) {
  std::vector<std::string> all;
  for (RedisReply& reply : TRY(redis_->Pipeline(commands))) {
    if (reply.is_error()) return storage::RedisError(reply);
    for (RedisReply& item : reply.items) all.push_back(std::move(item.text));
  }
  return all;
}

Result<> RedisQueue::WalkIndex(const TaskId& before,
                               const std::function<Result<bool>(std::span<const TaskId>)>& use) {
  const RedisReply ends =
      TRY(redis_->Ask(RedisCommand("HMGET").Add(Key("queue:meta")).Add("serial").Add("first")));
  if (ends.items.size() != 2) return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  int64_t last = ends.items[0].AsInteger() / kIndexPart;
  const int64_t first = ends.items[1].AsInteger();
  if (!before.empty()) {
    const RedisReply number =
        TRY(redis_->Ask(RedisCommand("HGET").Add(Key("task:" + before + ":status")).Add("i")));
    if (!number.text.empty()) last = std::min(last, number.AsInteger() / 16 / kIndexPart);
  }
  while (last >= first) {
    std::vector<RedisCommand> commands;
    for (int64_t part = last; part >= first && part > last - kPartsAtOnce; --part) {
      commands.emplace_back(
          RedisCommand("LRANGE").Add(Key("queue:index:" + std::to_string(part))).Add(0).Add(-1));
    }
    last -= kPartsAtOnce;
    std::vector<TaskId> ids = TRY(ReadLists(commands));
    std::sort(ids.begin(), ids.end(), std::greater<>());
    if (!TRY(use(ids))) break;
  }
  return Ok{};
}

Result<> RedisQueue::ForEachCandidate(
    const TaskFilter& filter, const std::function<Result<bool>(std::span<const TaskId>)>& use) {
  std::vector<RedisCommand> commands;
  const auto whole = [&](std::string_view command, const std::string& key) {
    commands.emplace_back(RedisCommand(command).Add(Key(key)));
    if (command != "SMEMBERS") commands.back().Add(0).Add(-1);
  };
  const std::string reason = filter.reason.value_or("");
  if (!filter.parent.empty()) {
    whole("SMEMBERS", "task:" + filter.parent + ":children");
  } else if (filter.stuck || filter.status == Status::kStarted) {
    for (const std::string& queue : TRY(QueueNames(filter))) {
      whole("ZRANGE", "queue:" + queue + ":leases");
    }
  } else if (filter.status && filter.status != Status::kQueued) {
    const std::string list =
        *filter.status == Status::kFinished ? "completed" : std::string(StatusName(*filter.status));
    for (const std::string& queue : TRY(QueueNames(filter))) {
      whole("LRANGE", "queue:" + queue + ":" + list);
    }
  } else if (reason == "delayed" || reason == "waiting") {
    for (const std::string& queue : TRY(QueueNames(filter))) {
      whole(reason == "delayed" ? "ZRANGE" : "SMEMBERS", "queue:" + queue + ":" + reason);
    }
  } else {
    return WalkIndex(filter.before, use);
  }
  std::vector<TaskId> ids = TRY(ReadLists(commands));
  for (TaskId& id : ids) id.resize(std::min(id.size(), id.find(' ')));  // claims of leases
  std::sort(ids.begin(), ids.end(), std::greater<>());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  TRY(use(ids));
  return Ok{};
}

Result<> RedisQueue::ForEachMatch(const TaskFilter& filter, const std::function<bool(Task)>& use) {
  if (!filter.before.empty() && !CreatedAt(filter.before)) {
    return Error{Code::kInvalid, "task " + filter.before + ": not an id"};
  }
  const UnixMs now = filter.stuck ? TRY(Now()) : 0;
  return ForEachCandidate(filter, [&](std::span<const TaskId> ids) -> Result<bool> {
    if (!filter.before.empty()) {
      const auto from = std::partition_point(ids.begin(), ids.end(),
                                             [&](const TaskId& id) { return id >= filter.before; });
      ids = ids.subspan(static_cast<size_t>(from - ids.begin()));
    }
    for (size_t at = 0; at < ids.size(); at += kLookedAtOnce) {
      const auto some = ids.subspan(at, std::min(kLookedAtOnce, ids.size() - at));
      for (Seen& seen : TRY(Look(some))) {
        if (!Matches(seen.stored.task, seen.stored.payload, filter, now)) continue;
        if (!use(std::move(seen.stored.task))) return false;
      }
    }
    return true;
  });
}

Result<std::vector<Task>> RedisQueue::List(const TaskFilter& filter) {
  std::vector<Task> tasks;
  const size_t limit = std::min(filter.limit, kListMax);
  if (limit == 0) return tasks;
  TRY(ForEachMatch(filter, [&](Task task) {
    tasks.push_back(std::move(task));
    return tasks.size() < limit;
  }));
  return tasks;
}

Result<int64_t> RedisQueue::Count(const TaskFilter& filter) {
  int64_t count = 0;
  if (!IsCounted(filter)) {
    TaskFilter all = filter;
    all.before.clear();
    TRY(ForEachMatch(all, [&](const Task&) {
      ++count;
      return true;
    }));
    return count;
  }
  for (const QueueStats& stats : TRY(Stats())) {
    if (filter.queue && stats.name != *filter.queue) continue;
    const std::array counts{stats.queued, stats.started, stats.finished, stats.failed,
                            stats.cancelled};
    for (size_t i = 0; i < counts.size(); ++i) {
      if (!filter.status || static_cast<size_t>(*filter.status) == i) count += counts[i];
    }
  }
  return count;
}

Result<int64_t> RedisQueue::CountAhead(const TaskId& id) {
  return TRY(Run(Function("ahead", false).Add(id))).integer;
}

Result<std::vector<QueueStats>> RedisQueue::Stats() {
  const RedisReply reply = TRY(Run(Function("stats")));
  std::vector<QueueStats> all;
  constexpr size_t kColumns = 11;
  for (size_t at = 0; at + kColumns <= reply.items.size(); at += kColumns) {
    const auto number = [&](size_t column) { return reply.items[at + column].AsInteger(); };
    QueueStats stats;
    stats.name = reply.items[at].text;
    stats.queued = number(1);
    stats.delayed = number(2);
    stats.started = number(3);
    stats.finished = number(4);
    stats.failed = number(5);
    stats.cancelled = number(6);
    stats.finished_total = number(7);
    stats.failed_total = number(8);
    stats.paused = number(9) != 0;
    stats.mean_ms = std::strtod(reply.items[at + 10].text.c_str(), nullptr);
    all.push_back(std::move(stats));
  }
  return all;
}

Result<> RedisQueue::Heartbeat(const WorkerInfo& worker, Milliseconds ttl) {
  const ProcessNames names = NamesOf(worker.id);
  RedisCommand command = Function("beat");
  command.Add(names.name).Add(names.longer).Add(worker.id).Add(ttl.count());
  command.Add("role").Add(worker.role).Add("host").Add(worker.host);
  command.Add("pid").Add(worker.pid).Add("state").Add(worker.state);
  command.Add("started_at").Add(worker.started_at).Add("detail").Add(DumpJson(worker.detail));
  TRY(Run(command));
  return Ok{};
}

Result<> RedisQueue::Forget(const std::string& worker_id) {
  const ProcessNames names = NamesOf(worker_id);
  TRY(Run(Function("forget").Add(worker_id).Add(names.name).Add(names.longer)));
  return Ok{};
}

Result<std::vector<WorkerInfo>> RedisQueue::Workers() {
  const RedisReply reply = TRY(Run(Function("workers")));
  std::vector<WorkerInfo> workers;
  for (const RedisReply& hash : reply.items) {
    WorkerInfo worker = ReadWorker(hash);
    if (!worker.id.empty()) workers.push_back(std::move(worker));
  }
  std::sort(workers.begin(), workers.end(),
            [](const WorkerInfo& a, const WorkerInfo& b) { return a.id < b.id; });
  return workers;
}

}  // namespace msearch::queue
