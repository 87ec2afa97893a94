// How attempts end: well, with an error, by a crash, by a lease that ran out, by cancellation,
// or given back.
#include <algorithm>

#include "base/strings.h"
#include "queue/change.h"
#include "queue/task_id.h"
#include "queue/wake_board.h"

namespace msearch::queue {
namespace {

const std::string kUpdateQueued =
    "UPDATE task SET state = ?2, due = ?3, available_at = ?10, started_at = NULL,"
    " attempts = attempts + ?4, errors = errors + ?5, crashes = crashes + ?6,"
    " losses = losses + ?7, error = coalesce(?8, error), progress = NULL, events = " +
    AppendEventSql("?9") + " WHERE row = ?1";
const std::string kUpdateEnded =
    "UPDATE task SET state = ?2, due = ?3,"
    " attempts = attempts + ?4, errors = errors + ?5, crashes = crashes + ?6,"
    " losses = losses + ?7, error = coalesce(?8, error), reason = ?9, events = " +
    AppendEventSql("?10") + " WHERE row = ?1";
// The usual end, without reading the row first: what makes a lease honoured are conditions.
// RETURNING would double its cost.
const std::string kUpdateFinished =
    "UPDATE task SET state = 2, due = ?3, attempts = attempts + 1, result = ?6, events = " +
    AppendEventSql("?7") +
    " WHERE row = ?1 AND tail = ?2 AND state = 3 AND due > ?3 AND epoch = ?4 AND counter = ?5"
    " AND cancel = 0 AND followed = ?8";

}  // namespace

std::string Change::Event(const TaskRow& row, EventKind kind, std::string_view worker,
                          std::string_view detail) const {
  return EventLine(kind, Milliseconds(now_ - row.created_at), worker, detail);
}

Result<> Change::Apply(const TaskRow& row, const Verdict& verdict) {
  return IsLive(verdict.state) ? PutBack(row, verdict) : End(row, verdict);
}

Result<> Change::PutBack(const TaskRow& row, const Verdict& verdict) {
  const State state = verdict.delay.count() > 0 ? State::kDelayed : State::kReady;
  std::optional<std::string> error;
  if (verdict.error) error = PackError(*verdict.error);
  TRY(db_.Run(kUpdateQueued, row.row, static_cast<int>(state),
              state == State::kReady ? row.priority : now_ + verdict.delay.count(),
              verdict.attempts, verdict.errors, verdict.crashes, verdict.losses, error,
              verdict.events, now_ + verdict.delay.count()));
  Count(row.queue, row.state, state);
  return Ok{};
}

Result<> Change::End(const TaskRow& row, const Verdict& verdict) {
  std::optional<std::string> error;
  if (verdict.error) error = PackError(*verdict.error);
  TRY(db_.Run(kUpdateEnded, row.row, static_cast<int>(verdict.state), now_, verdict.attempts,
              verdict.errors, verdict.crashes, verdict.losses, error,
              verdict.reason.empty() ? std::nullopt : std::optional(verdict.reason),
              verdict.events));
  Count(row.queue, row.state, verdict.state);
  if (row.state == State::kWaiting) TRY(ForgetFollowed(row));
  if (verdict.state == State::kFailed) TRY(LeaveDeadLetter(row.row));
  return Tell({row.row, verdict.state, verdict.error}, row.followed);
}

Result<> Change::Tell(Ended ended, bool followed) {
  ended_topics_ |= WakeBoard::TopicOf(ended.row);
  if (!followed) return Ok{};
  unsettled_.push_back(std::move(ended));
  if (settling_) return Ok{};
  settling_ = true;
  while (!unsettled_.empty()) {
    const Ended next = std::move(unsettled_.front());
    unsettled_.pop_front();
    TRY(Settle(next));
  }
  settling_ = false;
  return Ok{};
}

Result<> Change::LeaveDeadLetter(int64_t row) {
  NewTask letter;
  std::string payload;
  {
    storage::Statement failed = TRY(db_.Prepare(
        "SELECT dead_letter, unique_key, priority, policy, tail, error, attempts, epoch,"
        " counter, " MSEARCH_QUEUE_PAYLOAD
        ", kind FROM task WHERE row = ?1 AND dead_letter IS NOT NULL"));
    failed.With(row);
    if (!TRY(failed.Step())) return Ok{};
    const std::vector<std::string_view> address = Split(failed.Text(0), ' ');
    letter.queue = address.front();
    letter.kind = address.back();
    letter.unique_key = failed.String(1);
    letter.priority = static_cast<Priority>(failed.Int(2));
    letter.retry = UnpackPolicy(failed.Text(3));
    const Error error = UnpackError(failed.Text(5));
    const Json head{{"task_id", EncodeTaskId({row, failed.Int(4)})},
                    {"kind", failed.Text(10)},
                    {"error", {{"code", CodeName(error.code)}, {"message", error.message}}},
                    {"attempts", failed.Int(6)},
                    {"token", {failed.Int(7), failed.Int(8)}}};
    // The payload is text that was checked when it came; it's put in as it is.
    payload = DumpJson(head);
    payload.pop_back();
    payload.append(",\"payload\":").append(failed.Text(9)).append("}");
  }
  TRY(Add({&letter, payload}));
  return Ok{};
}

Result<bool> Change::Finish(const Lease& lease, std::string_view result, bool followed) {
  const std::optional<TaskKey> key = DecodeTaskId(lease.task.id);
  const std::optional<int64_t> queue = TRY(FindQueue(lease.task.queue));
  if (!key || !queue) return false;
  TRY(db_.Run(kUpdateFinished, key->row, key->tail, now_, static_cast<int64_t>(lease.token.epoch),
              static_cast<int64_t>(lease.token.counter), result,
              EventLine(EventKind::kFinished, Milliseconds(now_ - lease.task.created_at)),
              followed));
  if (db_.changes() == 0) return false;
  Count(*queue, State::kStarted, State::kFinished);
  TRY(Tell({key->row, State::kFinished, std::nullopt}, followed));
  return true;
}

Result<> Change::EndCancelled(const TaskRow& row) {
  Verdict verdict;
  verdict.state = State::kCancelled;
  verdict.events = Event(row, EventKind::kCancelled);
  return End(row, verdict);
}

Result<> Change::Fail(const TaskRow& row, const Error& error) {
  if (row.cancel) return EndCancelled(row);
  Verdict verdict;
  verdict.attempts = 1;
  verdict.error = error;
  const bool crashed = error.code == Code::kCrashed;
  (crashed ? verdict.crashes : verdict.errors) = 1;
  const int crashes = row.crashes + verdict.crashes;
  const int errors = row.errors + verdict.errors;
  verdict.events = Event(row, crashed ? EventKind::kCrash : EventKind::kError, {}, error.message);
  if (crashed && crashes >= row.retry.crashes_max) {
    verdict.state = State::kFailed;
    verdict.reason = "quarantined";
    verdict.events += Event(row, EventKind::kQuarantined);
  } else if (!crashed && (!IsTransient(error.code) || errors >= row.retry.errors_max)) {
    verdict.state = State::kFailed;
  } else {
    verdict.delay = Backoff(row.retry, errors + crashes, RandomFraction());
  }
  return Apply(row, verdict);
}

Result<> Change::Lose(const TaskRow& row) {
  if (row.cancel) return EndCancelled(row);
  Verdict verdict;
  verdict.attempts = 1;
  verdict.losses = 1;
  verdict.events = Event(row, EventKind::kLost);
  if (row.losses + 1 >= row.retry.losses_max) {
    verdict.state = State::kFailed;
    verdict.reason = "lost";
    verdict.error = Error{Code::kTimeout, "lease: ran out " + std::to_string(row.losses + 1) +
                                              " times, last with worker " + row.worker};
  }
  return Apply(row, verdict);
}

Result<> Change::Release(const TaskRow& row, Milliseconds delay) {
  if (row.cancel) return EndCancelled(row);
  Verdict verdict;
  verdict.delay = std::max(delay, Milliseconds(0));
  verdict.events = Event(row, EventKind::kReleased);
  return PutBack(row, verdict);
}

Result<> Change::Settle(const Ended& ended) {
  std::vector<int64_t> dependents;
  {
    storage::Statement select = TRY(db_.Prepare("SELECT dependent FROM follows WHERE task = ?1"));
    select.With(ended.row);
    while (TRY(select.Step())) dependents.push_back(select.Int(0));
  }
  TRY(db_.Run("DELETE FROM follows WHERE task = ?1", ended.row));
  TRY(db_.Run("UPDATE task SET followed = 0 WHERE row = ?1", ended.row));
  for (const int64_t number : dependents) {
    const TaskRow dependent = TRY(LoadRow(db_, number));
    if (ended.state == State::kFinished) {
      TRY(Unblock(dependent));
      continue;
    }
    Verdict verdict;
    verdict.state = State::kFailed;
    verdict.reason = "dependency";
    const bool cancelled = ended.state == State::kCancelled;
    std::string message =
        cancelled ? "task before this one: was cancelled" : "task before this one: failed";
    if (ended.error) message += ": " + ended.error->message;
    // A chain of failures would otherwise tell its beginning once per link.
    message = std::string(TruncateUtf8(message, 1000));
    verdict.error = Error{cancelled ? Code::kCancelled : Code::kConflict, message};
    verdict.events = Event(dependent, EventKind::kError, {}, message);
    TRY(End(dependent, verdict));
  }
  return Ok{};
}

Result<> Change::Unblock(const TaskRow& dependent) {
  const bool delayed = dependent.available_at > now_;
  const State free = delayed ? State::kDelayed : State::kReady;
  const std::optional<int64_t> blockers = TRY(db_.QueryInt(
      "UPDATE task SET blockers = blockers - 1 WHERE row = ?1 RETURNING blockers", dependent.row));
  if (blockers != 0) return Ok{};
  TRY(db_.Run("UPDATE task SET state = ?2, due = ?3 WHERE row = ?1", dependent.row,
              static_cast<int>(free), delayed ? dependent.available_at : dependent.priority));
  Count(dependent.queue, State::kWaiting, free);
  return Ok{};
}

Result<> Change::ForgetFollowed(const TaskRow& dependent) {
  const std::string follows =
      TRY(db_.QueryString("SELECT follows FROM task WHERE row = ?1", dependent.row)).value_or("");
  for (const std::string_view id : Split(follows, ' ')) {
    const std::optional<TaskKey> key = DecodeTaskId(id);
    if (!key) continue;
    TRY(db_.Run("DELETE FROM follows WHERE task = ?1 AND dependent = ?2", key->row, dependent.row));
  }
  return Ok{};
}

Result<> Change::Cancel(const TaskId& id) {
  const std::optional<TaskRow> row = TRY(LoadRow(db_, id));
  if (!row) return Error{Code::kNotFound, "task " + id + ": not known"};
  if (!IsLive(row->state)) {
    return Error{Code::kConflict, "task " + id + ": has ended already, " +
                                      std::string(StatusName(StatusOf(row->state)))};
  }
  if (row->state != State::kStarted) return EndCancelled(*row);
  return db_.Run("UPDATE task SET cancel = 1 WHERE row = ?1", row->row);
}

Result<> Change::Retry(const TaskId& id) {
  const std::optional<TaskRow> row = TRY(LoadRow(db_, id));
  if (!row) return Error{Code::kNotFound, "task " + id + ": not known"};
  const bool lost = row->state == State::kStarted && row->due <= now_;
  if (!lost && row->state != State::kFailed && row->state != State::kCancelled) {
    return Error{Code::kConflict, "task " + id + ": can't be retried while it is " +
                                      std::string(StatusName(StatusOf(row->state)))};
  }
  storage::Statement more =
      TRY(db_.Prepare("SELECT coalesce(unique_key, ''), coalesce(follows, '') FROM task"
                      " WHERE row = ?1"));
  more.With(row->row);
  if (!TRY(more.Step())) return Error{Code::kCorrupt, "queue: a task vanished"};
  if (!lost && !more.Text(0).empty() &&
      TRY(db_.QueryInt("SELECT row FROM task WHERE unique_key = ?1 AND state >= 3",
                       more.Text(0)))) {
    return Error{Code::kConflict, "task " + id + ": another task with its unique key is under way"};
  }
  std::vector<TaskId> after;
  for (const std::string_view part : Split(more.Text(1), ' ')) {
    if (!part.empty()) after.emplace_back(part);
  }
  const Followed followed = TRY(LookAtFollowed(after));
  if (followed.obstacle) {
    return Error{Code::kConflict, followed.obstacle->message + ": retry that first"};
  }
  for (const int64_t open : followed.open_rows) {
    TRY(db_.Run("INSERT INTO follows(task, dependent) VALUES(?1, ?2)", open, row->row));
    TRY(db_.Run("UPDATE task SET followed = 1 WHERE row = ?1", open));
  }
  static const std::string kUpdate =
      "UPDATE task SET state = ?2, due = ?3, available_at = ?6, blockers = ?4, attempts = 0, "
      "errors = 0,"
      " crashes = 0, losses = 0, cancel = 0, started_at = NULL,"
      " reason = NULL, progress = NULL, events = " +
      AppendEventSql("?5") + " WHERE row = ?1";
  const State state = followed.blockers > 0 ? State::kWaiting : State::kReady;
  TRY(db_.Run(kUpdate, row->row, static_cast<int>(state),
              state == State::kReady ? row->priority : now_, followed.blockers,
              Event(*row, EventKind::kRetried), now_));
  Count(row->queue, row->state, state);
  return Ok{};
}

}  // namespace msearch::queue
