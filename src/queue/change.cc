// Counting and enqueueing. The counts of a transaction are added up here and written once per
// queue, so that a batch costs no more of them than a single task.
#include "queue/change.h"

#include <algorithm>

#include "base/strings.h"
#include "queue/wake_board.h"

namespace msearch::queue {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr size_t kKeyBytesMax = 512;
constexpr size_t kFollowedMax = 1000;

bool IsQueueName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

std::optional<std::string_view> UnlessEmpty(std::string_view text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

Result<std::string> CheckJson(const Json& value, std::string_view what) {
  std::string text = DumpJson(value);
  if (text.size() > kPayloadBytesMax) {
    return Error{Code::kTooLarge, std::string(what) + ": " + std::to_string(text.size()) +
                                      " bytes, more than " + std::to_string(kPayloadBytesMax)};
  }
  const Result<Json> again = ParseJson(text);
  if (!again.ok()) return Error{Code::kInvalid, std::string(what) + ": " + again.message()};
  return text;
}

Result<Draft> CheckNewTask(const NewTask& task) {
  if (!IsQueueName(task.queue)) {
    return Error{Code::kInvalid, "queue \"" + task.queue + "\": not a name of [a-z0-9_-]{1,64}"};
  }
  if (task.kind.empty() || task.kind.size() > kNameBytesMax) {
    return Error{Code::kInvalid, "task kind \"" + task.kind + "\": empty or too long"};
  }
  if (task.unique_key.size() > kKeyBytesMax || task.parent.size() > kNameBytesMax) {
    return Error{Code::kTooLarge, "task " + task.kind + ": unique key or parent is too long"};
  }
  if (task.after.size() > kFollowedMax) {
    return Error{Code::kTooLarge, "task " + task.kind + ": follows more than 1000 tasks"};
  }
  return Draft{&task, TRY(CheckJson(task.payload, "payload of task " + task.kind))};
}

void Change::Count(int64_t queue, std::optional<State> from, std::optional<State> to) {
  Tally& tally = tallies_[queue];
  const auto add = [&](State state, int64_t amount) {
    switch (state) {
      case State::kDelayed:
        tally.delayed += amount;
        tally.queued += amount;
        break;
      case State::kReady:
      case State::kWaiting:
        tally.queued += amount;
        break;
      case State::kStarted:
        tally.started += amount;
        break;
      case State::kFinished:
        tally.finished += amount;
        break;
      case State::kFailed:
        tally.failed += amount;
        break;
      case State::kCancelled:
        tally.cancelled += amount;
        break;
    }
  };
  if (from) add(*from, -1);
  if (!to) return;
  add(*to, 1);
  if (*to == State::kReady) tally.became_ready = true;
  if (*to == State::kFinished) ++tally.finished_total;
  if (*to == State::kFailed) ++tally.failed_total;
}

Result<> Change::Flush() {
  for (const auto& [queue, tally] : tallies_) {
    // The mean forgets: each finish weighs at least a hundredth.
    storage::Statement update = TRY(db_.Prepare(
        "UPDATE tally SET queued = queued + ?2, delayed = delayed + ?3, started = started + ?4,"
        " finished = finished + ?5, failed = failed + ?6, cancelled = cancelled + ?7,"
        " mean_ms = CASE WHEN ?8 = 0 THEN mean_ms ELSE mean_ms + (?11 * 1.0 / ?8 - mean_ms)"
        " * min(1.0, ?8 * 1.0 / min(finished_total + ?8, 100)) END,"
        " finished_total = finished_total + ?8, failed_total = failed_total + ?9,"
        " leases = leases + ?10 WHERE id = ?1 RETURNING name"));
    update.With(queue, tally.queued, tally.delayed, tally.started, tally.finished, tally.failed,
                tally.cancelled, tally.finished_total, tally.failed_total, tally.leases,
                tally.run_ms);
    if (!TRY(update.Step())) return Error{Code::kCorrupt, "queue: a task names a missing queue"};
    if (tally.became_ready) work_topics_ |= WakeBoard::TopicOf(update.Text(0));
    TRY(update.Run());
  }
  return Ok{};
}

Result<int64_t> Change::QueueId(const std::string& name) {
  const std::optional<int64_t> id = TRY(db_.QueryInt("SELECT id FROM tally WHERE name = ?1", name));
  if (id) return *id;
  TRY(db_.Run("INSERT INTO tally(name) VALUES(?1)", name));
  return db_.last_insert_id();
}

Result<int64_t> Change::NextRow() {
  if (!next_row_) {
    const int64_t last = TRY(db_.QueryInt("SELECT max(row) FROM task")).value_or(0);
    next_row_ = std::max(last + 1, FirstRowAt(now_));
  }
  return (*next_row_)++;
}

Result<Change::Followed> Change::LookAtFollowed(const std::vector<TaskId>& after) {
  Followed followed;
  for (const TaskId& id : after) {
    const std::optional<TaskRow> row = TRY(LoadRow(db_, id));
    // Gone: it ended well and outlived its retention, for a failure would have failed this task.
    if (!row || row->state == State::kFinished) continue;
    if (IsLive(row->state)) {
      followed.open_rows.push_back(row->row);
    } else {
      const bool failed = row->state == State::kFailed;
      followed.obstacle =
          Error{failed ? Code::kConflict : Code::kCancelled,
                "task " + id + ": followed by this one, " + (failed ? "failed" : "was cancelled")};
    }
  }
  std::sort(followed.open_rows.begin(), followed.open_rows.end());
  followed.open_rows.erase(std::unique(followed.open_rows.begin(), followed.open_rows.end()),
                           followed.open_rows.end());
  followed.blockers = static_cast<int>(followed.open_rows.size());
  return followed;
}

Result<> Change::CheckFollowed(const NewTask& task) {
  for (const TaskId& id : task.after) {
    if (!TRY(LoadRow(db_, id))) return Error{Code::kNotFound, "task " + id + ": not known"};
  }
  return Ok{};
}

Result<TaskId> Change::Add(const Draft& draft) {
  const NewTask& task = *draft.task;
  if (!task.unique_key.empty()) {
    storage::Statement taken =
        TRY(db_.Prepare("SELECT row, tail FROM task WHERE unique_key = ?1 AND state < 4"));
    taken.With(task.unique_key);
    if (TRY(taken.Step())) return EncodeTaskId({taken.Int(0), taken.Int(1)});
  }
  const int64_t queue = TRY(QueueId(task.queue));
  const Followed followed = task.after.empty() ? Followed() : TRY(LookAtFollowed(task.after));
  const TaskKey key{TRY(NextRow()), RandomTail()};
  TRY(Insert(draft, key, queue, followed));
  for (const int64_t row : followed.open_rows) {
    TRY(db_.Run("INSERT INTO follows(task, dependent) VALUES(?1, ?2)", row, key.row));
  }
  return EncodeTaskId(key);
}

Result<> Change::Insert(const Draft& draft, const TaskKey& key, int64_t queue,
                        const Followed& followed) {
  const NewTask& task = *draft.task;
  const int64_t delay = std::max<int64_t>(task.delay.count(), 0);
  State state = delay > 0 ? State::kDelayed : State::kReady;
  if (followed.blockers > 0) state = State::kWaiting;
  std::optional<std::string> error;
  std::string events;
  if (followed.obstacle) {
    state = State::kFailed;
    error = PackError(*followed.obstacle);
    events = EventLine(EventKind::kError, Milliseconds(0), {}, followed.obstacle->message);
  }
  const std::string follows = Join(task.after, " ");
  const std::string policy = PackPolicy(task.retry);
  const auto text = [](const std::string& value) { return UnlessEmpty(value); };
  TRY(db_.Run(
      "INSERT INTO task(row, tail, queue, state, priority, created_at, available_at, timeout,"
      " blockers, ended_at, kind, unique_key, parent, follows, policy, reason, error, events,"
      " payload) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)",
      key.row, key.tail, queue, static_cast<int>(state), static_cast<int>(task.priority), now_,
      now_ + delay, task.timeout.count(), followed.blockers,
      followed.obstacle ? std::optional<int64_t>(now_) : std::nullopt, task.kind,
      text(task.unique_key), text(task.parent), text(follows), text(policy),
      followed.obstacle ? std::optional<std::string_view>("dependency") : std::nullopt, error,
      events, draft.payload));
  Count(queue, std::nullopt, state);
  return Ok{};
}

Result<> Change::SetPaused(const std::string& queue, bool paused) {
  const int64_t id = TRY(QueueId(queue));
  TRY(db_.Run("UPDATE tally SET paused = ?2 WHERE id = ?1", id, paused));
  if (!paused) tallies_[id].became_ready = true;
  return Ok{};
}

}  // namespace msearch::queue
