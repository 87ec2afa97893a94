// Everything that only looks.
#include <algorithm>
#include <array>
#include <variant>

#include "queue/embedded_queue.h"

namespace msearch::queue {
namespace {

constexpr size_t kListMax = 10000;
// A lease this near its end counts as stuck: a healthy worker extends it at a third of its time.
constexpr int64_t kStuckMs = 1000;

// A WHERE clause with what to bind to it.
class Where {
 public:
  void Add(std::string condition) {
    conditions_ += (conditions_.empty() ? "WHERE " : " AND ") + condition;
  }
  // Every "?" in `condition` is the value.
  void Add(const std::string& condition, std::string value) {
    values_.push_back(std::move(value));
    AddNumbered(condition);
  }
  void Add(const std::string& condition, int64_t value) {
    values_.push_back(value);
    AddNumbered(condition);
  }
  // For use outside the conditions, as parameter number size().
  void AddValue(int64_t value) { values_.emplace_back(value); }
  const std::string& text() const { return conditions_; }
  size_t size() const { return values_.size(); }
  void BindTo(storage::Statement& statement) const {
    for (size_t i = 0; i < values_.size(); ++i) {
      std::visit([&](const auto& value) { statement.Bind(static_cast<int>(i + 1), value); },
                 values_[i]);
    }
  }

 private:
  void AddNumbered(const std::string& condition) {
    std::string numbered;
    for (const char c : condition) {
      numbered += c;
      if (c == '?') numbered += std::to_string(values_.size());
    }
    Add(std::move(numbered));
  }
  std::string conditions_;
  std::vector<std::variant<int64_t, std::string>> values_;
};

void AddStatus(Where& where, Status status) {
  switch (status) {
    case Status::kQueued:
      where.Add("state >= 4");
      break;
    case Status::kStarted:
      where.Add("state = 3");
      break;
    case Status::kFinished:
      where.Add("state = 2");
      break;
    case Status::kFailed:
      where.Add("state = 0");
      break;
    case Status::kCancelled:
      where.Add("state = 1");
      break;
  }
}

void AddReason(Where& where, const std::string& reason) {
  if (reason == "delayed") {
    where.Add("state = 5");
  } else if (reason == "waiting") {
    where.Add("state = 6");
  } else if (reason == "paused") {
    where.Add("state = 4 AND paused = 1");
  } else if (reason.empty()) {
    where.Add("reason IS NULL AND state NOT IN (5, 6) AND NOT (state = 4 AND paused = 1)");
  } else {
    where.Add("reason = ?", reason);
  }
}

Where WhereOf(const TaskFilter& filter, UnixMs now) {
  Where where;
  if (filter.queue) {
    // What is queued is as a rule the newest, so rows are looked at one after the other; of the
    // rest, the index knows which they are.
    const bool newest = !filter.status || *filter.status == Status::kQueued;
    where.Add(std::string(newest && !filter.stuck ? "+" : "") +
                  "task.queue = (SELECT id FROM tally WHERE name = ?)",
              *filter.queue);
  } else if (filter.stuck || (filter.status && *filter.status != Status::kQueued)) {
    // Lets the index over queue and state find the few among many.
    where.Add("task.queue IN (SELECT id FROM tally)");
  }
  if (filter.kind) where.Add("kind = ?", *filter.kind);
  if (filter.status) AddStatus(where, *filter.status);
  if (filter.reason) AddReason(where, *filter.reason);
  if (!filter.text.empty()) {
    where.Add("(instr(" MSEARCH_QUEUE_PAYLOAD
              ", ?) OR instr(error, ?) OR instr(task_id(task.row, tail), ?))",
              filter.text);
  }
  if (filter.stuck) where.Add("state = 3 AND due <= ?", now + kStuckMs);
  if (!filter.parent.empty()) where.Add("parent = ?", filter.parent);
  return where;
}

// Counts kept by queue answer this without looking at tasks.
bool IsCounted(const TaskFilter& filter) {
  return !filter.kind && !filter.reason && filter.text.empty() && !filter.stuck &&
         filter.parent.empty();
}

// Counting what is queued takes a step per task, but SQLite counts all rows of a table page by
// page. So a queue too long to be counted within a moment is what all others leave of the total;
// only if several are that long must all but one be counted in full.
constexpr int64_t kCountedOneByOne = 20000;

Result<> CountLongQueues(storage::Sqlite& db, std::vector<QueueStats>& all,
                         const std::vector<size_t>& uncounted) {
  if (uncounted.empty()) return Ok{};
  for (size_t i = 1; i < uncounted.size(); ++i) {
    QueueStats& stats = all[uncounted[i]];
    stats.queued = TRY(db.QueryInt("SELECT count(*) FROM task WHERE state >= 4 AND"
                                   " queue = (SELECT id FROM tally WHERE name = ?1)",
                                   stats.name))
                       .value_or(0);
  }
  int64_t rest = TRY(db.QueryInt("SELECT count(*) FROM task")).value_or(0);
  QueueStats& longest = all[uncounted[0]];
  longest.queued = 0;
  for (const QueueStats& stats : all) {
    rest -= stats.queued + stats.started + stats.finished + stats.failed + stats.cancelled;
  }
  longest.queued = rest;
  return Ok{};
}

Json InfoJson(const WorkerInfo& worker) {
  return {{"role", worker.role},   {"host", worker.host},     {"pid", worker.pid},
          {"state", worker.state}, {"detail", worker.detail}, {"started_at", worker.started_at}};
}

}  // namespace

Result<Task> EmbeddedQueue::Get(const TaskId& id) {
  const std::optional<TaskKey> key = DecodeTaskId(id);
  std::optional<Task> task;
  if (key) {
    TRY(Read([&](storage::Sqlite& db) -> Result<> {
      storage::Statement select =
          TRY(db.Prepare(std::string(kSelectTask) + "WHERE task.row = ?1 AND tail = ?2"));
      select.With(key->row, key->tail);
      if (TRY(select.Step())) task = TRY(ReadTask(select));
      return Ok{};
    }));
  }
  if (!task) return Error{Code::kNotFound, "task " + id + ": not known"};
  return *std::move(task);
}

Result<std::vector<Task>> EmbeddedQueue::List(const TaskFilter& filter) {
  Where where = WhereOf(filter, clock_.NowMs());
  if (!filter.before.empty()) {
    const std::optional<TaskKey> before = DecodeTaskId(filter.before);
    if (!before) return Error{Code::kInvalid, "task " + filter.before + ": not an id"};
    where.Add("task.row < ?", before->row);
  }
  where.AddValue(static_cast<int64_t>(std::min(filter.limit, kListMax)));
  std::vector<Task> tasks;
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    // First which rows, then all of them: what is sorted are numbers, not tasks.
    storage::Statement select = TRY(db.Prepare(
        std::string(kSelectTask) +
        "WHERE task.row IN (SELECT task.row FROM task CROSS JOIN tally ON tally.id = task.queue " +
        where.text() + " ORDER BY task.row DESC LIMIT ?" + std::to_string(where.size()) +
        ") ORDER BY task.row DESC"));
    where.BindTo(select);
    while (TRY(select.Step())) tasks.push_back(TRY(ReadTask(select)));
    return Ok{};
  }));
  return tasks;
}

Result<int64_t> EmbeddedQueue::Count(const TaskFilter& filter) {
  if (IsCounted(filter)) {
    int64_t count = 0;
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
  const Where where = WhereOf(filter, clock_.NowMs());
  int64_t count = 0;
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    storage::Statement select = TRY(db.Prepare(
        "SELECT count(*) FROM task CROSS JOIN tally ON tally.id = task.queue " + where.text()));
    where.BindTo(select);
    if (TRY(select.Step())) count = select.Int(0);
    return Ok{};
  }));
  return count;
}

Result<std::vector<TaskEvent>> EmbeddedQueue::Events(const TaskId& id) {
  const std::optional<TaskKey> key = DecodeTaskId(id);
  std::vector<TaskEvent> events;
  if (key) {
    TRY(Read([&](storage::Sqlite& db) -> Result<> {
      storage::Statement select =
          TRY(db.Prepare("SELECT created_at, events FROM task WHERE row = ?1 AND tail = ?2"));
      select.With(key->row, key->tail);
      if (TRY(select.Step())) events = ParseEvents(select.Int(0), select.Text(1));
      return Ok{};
    }));
  }
  if (events.empty()) return Error{Code::kNotFound, "task " + id + ": not known"};
  return events;
}

Result<int64_t> EmbeddedQueue::CountAhead(const TaskId& id) {
  const std::optional<TaskKey> key = DecodeTaskId(id);
  std::optional<int64_t> count;
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    if (!key) return Ok{};
    // Of those that aren't ready, too, all that are ready by now go first.
    count =
        TRY(db.QueryInt("SELECT CASE WHEN own.state < 4 THEN 0 ELSE"
                        " (SELECT count(*) FROM task WHERE queue = own.queue AND state = 4"
                        " AND due < own.priority) +"
                        " (SELECT count(*) FROM task WHERE queue = own.queue AND state = 4"
                        " AND due = own.priority AND row < own.row) END"
                        " FROM task own WHERE own.row = ?1 AND own.tail = ?2",
                        key->row, key->tail));
    return Ok{};
  }));
  if (!count) return Error{Code::kNotFound, "task " + id + ": not known"};
  return *count;
}

Result<Task> EmbeddedQueue::Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) {
  using std::chrono::steady_clock;
  const steady_clock::time_point deadline = steady_clock::now() + wait_max;
  const uint32_t topic = WakeBoard::TopicOf(DecodeTaskId(id).value_or(TaskKey()).row);
  while (true) {
    const WakeBoard::Ticket ticket = board_->Look(WakeBoard::Channel::kEnded, topic);
    Task task = TRY(Get(id));
    const bool ended = task.status != Status::kQueued && task.status != Status::kStarted;
    const steady_clock::time_point now = steady_clock::now();
    if (ended || now >= deadline || stop.stop_requested()) return task;
    board_->Wait(WakeBoard::Channel::kEnded, ticket, std::min(deadline, now + look_every_), stop);
  }
}

Result<std::vector<QueueStats>> EmbeddedQueue::Stats() {
  std::vector<QueueStats> all;
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    std::vector<size_t> uncounted;
    storage::Statement select = TRY(db.Prepare(
        "SELECT name, paused, leases, unfinished, forgotten, failed, cancelled, failed_total,"
        " (SELECT count(*) FROM task WHERE queue = tally.id AND state = 3),"
        " (SELECT count(*) FROM task WHERE queue = tally.id AND state = 5),"
        " (SELECT count(*) FROM"
        " (SELECT 1 FROM task WHERE queue = tally.id AND state >= 4 LIMIT ?1)),"
        " (SELECT avg(ms) FROM (SELECT due - started_at AS ms FROM task"
        " WHERE queue = tally.id AND state = 2 ORDER BY due DESC LIMIT 100))"
        " FROM tally WHERE id > 0 ORDER BY name"));
    select.With(kCountedOneByOne);
    while (TRY(select.Step())) {
      QueueStats stats;
      stats.name = select.String(0);
      stats.paused = select.Int(1) != 0;
      stats.failed = select.Int(5);
      stats.cancelled = select.Int(6);
      stats.failed_total = select.Int(7);
      stats.started = select.Int(8);
      stats.delayed = select.Int(9);
      stats.queued = select.Int(10);
      stats.mean_ms = select.Double(11);
      stats.finished_total = select.Int(2) - select.Int(3) - stats.started;
      stats.finished = stats.finished_total - select.Int(4);
      if (stats.queued >= kCountedOneByOne) uncounted.push_back(all.size());
      all.push_back(std::move(stats));
    }
    return CountLongQueues(db, all, uncounted);
  }));
  return all;
}

Result<> EmbeddedQueue::Heartbeat(const WorkerInfo& worker, Milliseconds ttl) {
  const std::string info = DumpJson(InfoJson(worker));
  return Write([&](Change& change) {
    return change.db().Run(
        "INSERT INTO worker(id, expires_at, seen_at, info) VALUES(?1, ?2, ?3, ?4)"
        " ON CONFLICT(id) DO UPDATE SET expires_at = ?2, seen_at = ?3, info = ?4",
        worker.id, change.now() + ttl.count(), change.now(), info);
  });
}

Result<> EmbeddedQueue::Forget(const std::string& worker_id) {
  return Write([&](Change& change) {
    return change.db().Run("DELETE FROM worker WHERE id = ?1", worker_id);
  });
}

Result<std::vector<WorkerInfo>> EmbeddedQueue::Workers() {
  std::vector<WorkerInfo> workers;
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    storage::Statement select =
        TRY(db.Prepare("SELECT id, seen_at, info FROM worker WHERE expires_at > ?1 ORDER BY id"));
    select.With(clock_.NowMs());
    while (TRY(select.Step())) {
      const Json info = TRY(ParseJson(select.Text(2)));
      WorkerInfo worker;
      worker.id = select.String(0);
      worker.seen_at = select.Int(1);
      worker.role = GetString(info, "role").value_or("");
      worker.host = GetString(info, "host").value_or("");
      worker.pid = GetInt(info, "pid").value_or(0);
      worker.state = GetString(info, "state").value_or("");
      worker.detail = info.value("detail", Json::object());
      worker.started_at = GetInt(info, "started_at").value_or(0);
      workers.push_back(std::move(worker));
    }
    return Ok{};
  }));
  return workers;
}

Result<std::string> EmbeddedQueue::StateId() {
  std::optional<std::string> id;
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    id = TRY(db.QueryString("SELECT state_id FROM backend"));
    return Ok{};
  }));
  if (!id) return Error{Code::kCorrupt, "queue " + path_ + ": its state id is missing"};
  return *id;
}

}  // namespace msearch::queue
