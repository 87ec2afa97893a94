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

// What ParseJson reads again by default.
constexpr int kDepthMax = 64;

bool IsDeeperThan(const Json& value, int depth_max) {
  if (!value.is_structured()) return false;
  if (depth_max == 0) return true;
  return std::any_of(value.begin(), value.end(),
                     [&](const Json& part) { return IsDeeperThan(part, depth_max - 1); });
}

std::optional<std::string_view> UnlessEmpty(std::string_view text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

Result<std::string> CheckJson(const Json& value, std::string_view what) {
  if (IsDeeperThan(value, kDepthMax)) {
    return Error{Code::kInvalid, std::string(what) + ": nested too deep"};
  }
  std::string text = DumpJson(value);
  if (text.size() > kPayloadBytesMax) {
    return Error{Code::kTooLarge, std::string(what) + ": " + std::to_string(text.size()) +
                                      " bytes, more than " + std::to_string(kPayloadBytesMax)};
  }
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
  const NewTask::DeadLetter& letter = task.dead_letter;
  if (!letter.queue.empty() &&
      (!IsQueueName(letter.queue) || letter.kind.empty() || letter.kind.size() > kNameBytesMax)) {
    return Error{Code::kInvalid, "task " + task.kind + ": its dead letter has no queue or kind"};
  }
  if (task.after.size() > kFollowedMax) {
    return Error{Code::kTooLarge, "task " + task.kind + ": follows more than 1000 tasks"};
  }
  return Draft{&task, TRY(CheckJson(task.payload, "payload of task " + task.kind))};
}

void Change::Count(int64_t queue, std::optional<State> from, std::optional<State> to) {
  if (to == State::kReady) became_ready_.insert(queue);
  Rest add;
  if (from == State::kFailed) --add.failed;
  if (from == State::kCancelled) --add.cancelled;
  if (from == State::kFinished) ++add.forgotten;
  if (from == State::kStarted && to != State::kFinished) ++add.unfinished;
  if (to == State::kFailed) ++add.failed, ++add.failed_total;
  if (to == State::kCancelled) ++add.cancelled;
  if (add == Rest()) return;
  Rest& tally = tallies_[queue].rest;
  tally.unfinished += add.unfinished;
  tally.forgotten += add.forgotten;
  tally.failed += add.failed;
  tally.cancelled += add.cancelled;
  tally.failed_total += add.failed_total;
}

Result<> Change::Flush() {
  for (const auto& [queue, tally] : tallies_) {
    // Leases are written for the queue and, as fencing tokens, for all queues together. Twice one
    // row costs less than an IN, for which SQLite builds a table.
    if (tally.leases != 0) {
      for (const int64_t id : {int64_t{0}, queue}) {
        TRY(db_.Run("UPDATE tally SET leases = leases + ?2 WHERE id = ?1", id, tally.leases));
      }
    }
    if (tally.rest == Rest()) continue;
    TRY(
        db_.Run("UPDATE tally SET unfinished = unfinished + ?2, forgotten = forgotten + ?3,"
                " failed = failed + ?4, cancelled = cancelled + ?5,"
                " failed_total = failed_total + ?6 WHERE id = ?1",
                queue, tally.rest.unfinished, tally.rest.forgotten, tally.rest.failed,
                tally.rest.cancelled, tally.rest.failed_total));
  }
  for (const int64_t queue : became_ready_) {
    work_topics_ |= WakeBoard::TopicOf(TRY(QueueName(queue)));
  }
  return Ok{};
}

Result<std::optional<int64_t>> Change::FindQueue(const std::string& name) {
  const auto known = known_.numbers.find(name);
  if (known != known_.numbers.end()) return std::optional(known->second);
  const std::optional<int64_t> number =
      TRY(db_.QueryInt("SELECT id FROM tally WHERE name = ?1 AND id > 0", name));
  if (number && !added_queues_.contains(*number)) {
    known_.numbers[name] = *number;
    known_.names[*number] = name;
  }
  return number;
}

Result<int64_t> Change::FindOrAddQueue(const std::string& name) {
  const std::optional<int64_t> found = TRY(FindQueue(name));
  if (found) return *found;
  TRY(db_.Run("INSERT INTO tally(name) VALUES(?1)", name));
  added_queues_.insert(db_.last_insert_id());
  return db_.last_insert_id();
}

Result<std::string> Change::QueueName(int64_t queue) {
  const auto known = known_.names.find(queue);
  if (known != known_.names.end()) return known->second;
  const auto name = TRY(db_.QueryString("SELECT name FROM tally WHERE id = ?1", queue));
  if (!name) return Error{Code::kCorrupt, "queue: a task names a missing queue"};
  return *name;
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
  if (followed.obstacle) followed.open_rows.clear();
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
        TRY(db_.Prepare("SELECT row, tail FROM task WHERE unique_key = ?1 AND state >= 3"));
    taken.With(task.unique_key);
    if (TRY(taken.Step())) return EncodeTaskId({taken.Int(0), taken.Int(1)});
  }
  const int64_t queue = TRY(FindOrAddQueue(task.queue));
  const Followed followed = task.after.empty() ? Followed() : TRY(LookAtFollowed(task.after));
  const TaskKey key{TRY(NextRow()), RandomTail()};
  TRY(Insert(draft, key, queue, followed));
  for (const int64_t row : followed.open_rows) {
    TRY(db_.Run("INSERT INTO follows(task, dependent) VALUES(?1, ?2)", row, key.row));
    TRY(db_.Run("UPDATE task SET followed = 1 WHERE row = ?1", row));
  }
  if (followed.obstacle && !task.dead_letter.queue.empty()) TRY(LeaveDeadLetter(key.row));
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
  int64_t due = now_ + delay;
  if (state == State::kReady) due = static_cast<int64_t>(task.priority);
  if (state == State::kFailed) due = now_;
  const std::string follows = Join(task.after, " ");
  const std::string policy = PackPolicy(task.retry);
  const NewTask::DeadLetter& letter = task.dead_letter;
  const std::string dead_letter = letter.queue.empty() ? "" : letter.queue + " " + letter.kind;
  const auto text = [](const std::string& value) { return UnlessEmpty(value); };
  const bool bulky = draft.payload.size() > kInlinePayloadBytesMax;
  TRY(db_.Run(
      "INSERT INTO task(row, tail, queue, state, due, priority, created_at, available_at, timeout,"
      " blockers, kind, unique_key, parent, follows, policy, reason, error, events, payload,"
      " dead_letter)"
      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
      key.row, key.tail, queue, static_cast<int>(state), due, static_cast<int>(task.priority), now_,
      now_ + delay, task.timeout.count(), followed.blockers, task.kind, text(task.unique_key),
      text(task.parent), text(follows), text(policy),
      followed.obstacle ? std::optional<std::string_view>("dependency") : std::nullopt, error,
      events, bulky ? std::string_view() : std::string_view(draft.payload), text(dead_letter)));
  if (bulky) {
    TRY(db_.Run("INSERT INTO bulk(row, payload) VALUES(?1, ?2)", key.row, draft.payload));
  }
  Count(queue, std::nullopt, state);
  return Ok{};
}

Result<> Change::SetPaused(const std::string& queue, bool paused) {
  const int64_t id = TRY(FindOrAddQueue(queue));
  TRY(db_.Run("UPDATE tally SET paused = ?2 WHERE id = ?1", id, paused));
  if (!paused) became_ready_.insert(id);
  return Ok{};
}

}  // namespace msearch::queue
