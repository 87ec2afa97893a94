// Leasing. High goes before normal before low, except that of every ten tasks leased from a queue
// the fifth is a normal one and the tenth a low one where there is any: a stream of urgent work
// slows the rest down to a tenth each, and stops nothing. The place within the ten is the queue's
// count of leases, kept in the database, so it holds over all processes together.
#include <algorithm>

#include "queue/change.h"

namespace msearch::queue {
namespace {

// Whose turn it is before all others, if anybody's.
std::optional<Priority> TurnOf(int64_t leases) {
  switch (leases % 10) {
    case 4:
      return Priority::kNormal;
    case 9:
      return Priority::kLow;
    default:
      return std::nullopt;
  }
}

// How many leases, this one included, come before it's somebody's turn again.
size_t BeforeTurn(int64_t leases) { return static_cast<size_t>(4 - leases % 5); }

const std::string kSelectFirst =
    std::string(kSelectTask) +
    "WHERE task.queue = ?1 AND state = 4 ORDER BY due, task.row LIMIT ?2";
const std::string kSelectFirstOfPriority =
    std::string(kSelectTask) +
    "WHERE task.queue = ?1 AND state = 4 AND due = ?3 ORDER BY task.row LIMIT ?2";
const std::string kUpdateStarted =
    "UPDATE task SET state = 3, started_at = ?2, due = ?3, epoch = ?4, counter = ?5,"
    " worker = ?6, progress = NULL, events = " +
    AppendEventSql("?7") + " WHERE row = ?1";

}  // namespace

Result<std::vector<Change::Taken>> Change::Take(const std::string& queue,
                                                const LeaseRequest& request) {
  std::vector<Taken> leases;
  const std::optional<int64_t> number = TRY(FindQueue(queue));
  if (!number) return leases;
  const int64_t id = *number;
  int64_t leases_before = tallies_[id].leases;
  {
    storage::Statement tally = TRY(
        db_.Prepare("SELECT own.paused, own.leases, every.epoch, every.leases"
                    " FROM tally own CROSS JOIN tally every WHERE own.id = ?1 AND every.id = 0"));
    tally.With(id);
    if (!TRY(tally.Step()) || tally.Int(0) != 0) return leases;
    leases_before += tally.Int(1);
    if (!last_token_) {
      last_token_ = Token{static_cast<uint64_t>(tally.Int(2)), static_cast<uint64_t>(tally.Int(3))};
    }
  }
  while (leases.size() < request.count_max) {
    const int64_t place = leases_before + static_cast<int64_t>(leases.size());
    const std::optional<Priority> turn = TurnOf(place);
    if (turn && TRY(TakeFirst(id, turn, 1, request, &leases)) > 0) continue;
    const size_t count =
        std::min(std::max<size_t>(BeforeTurn(place), 1), request.count_max - leases.size());
    if (TRY(TakeFirst(id, std::nullopt, count, request, &leases)) < count) break;
  }
  tallies_[id].leases += static_cast<int64_t>(leases.size());
  return leases;
}

Result<size_t> Change::TakeFirst(int64_t queue, std::optional<Priority> priority, size_t count,
                                 const LeaseRequest& request, std::vector<Taken>* leases) {
  const size_t before = leases->size();
  std::vector<int64_t> rows;
  {
    storage::Statement first = TRY(db_.Prepare(priority ? kSelectFirstOfPriority : kSelectFirst));
    first.With(queue, static_cast<int64_t>(count));
    if (priority) first.Bind(3, static_cast<int>(*priority));
    while (TRY(first.Step())) {
      rows.push_back(first.Int(0));
      Taken& taken = leases->emplace_back();
      taken.lease.task = TRY(ReadTask(first, &taken.payload));
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    Lease& lease = (*leases)[before + i].lease;
    ++last_token_->counter;
    lease.token = *last_token_;
    lease.worker = request.worker;
    lease.task.worker = request.worker;
    lease.task.status = Status::kStarted;
    lease.task.started_at = now_;
    lease.task.lease_until = now_ + request.duration.count();
    lease.task.progress = {};
    TRY(db_.Run(kUpdateStarted, rows[i], now_, *lease.task.lease_until,
                static_cast<int64_t>(lease.token.epoch), static_cast<int64_t>(lease.token.counter),
                request.worker,
                EventLine(EventKind::kStarted, Milliseconds(now_ - lease.task.created_at),
                          request.worker)));
    Count(queue, State::kReady, State::kStarted);
  }
  return rows.size();
}

Result<std::optional<TaskRow>> Change::Held(const Lease& lease) {
  std::optional<TaskRow> row = TRY(LoadRow(db_, lease.task.id));
  const bool held =
      row && row->state == State::kStarted && row->token == lease.token && row->due > now_;
  if (!held) row.reset();
  return row;
}

Result<TaskQueue::Held> Change::Extend(const Lease& lease, Milliseconds duration) {
  const std::optional<TaskRow> row = TRY(Held(lease));
  if (!row) return TaskQueue::Held{false, false};
  if (row->cancel) {
    TRY(EndCancelled(*row));
    return TaskQueue::Held{false, true};
  }
  TRY(db_.Run("UPDATE task SET due = ?2 WHERE row = ?1", row->row,
              std::max(row->due, now_ + duration.count())));
  return TaskQueue::Held{true, false};
}

Result<> Change::SetProgress(const TaskRow& row, const Progress& progress) {
  const Json json = {{"fraction", std::clamp(progress.fraction, 0.0, 1.0)},
                     {"stage", progress.stage},
                     {"message", progress.message}};
  return db_.Run("UPDATE task SET progress = ?2 WHERE row = ?1", row.row, DumpJson(json));
}

Result<size_t> Change::SeeToOverdue(const std::string& queue, size_t count_max) {
  const std::optional<int64_t> number = TRY(FindQueue(queue));
  if (!number) return size_t{0};
  std::vector<int64_t> rows;
  {
    storage::Statement select = TRY(
        db_.Prepare("SELECT row FROM task WHERE queue = ?1 AND state = 3 AND due <= ?2 UNION ALL"
                    " SELECT row FROM task WHERE queue = ?1 AND state = 5 AND due <= ?2 LIMIT ?3"));
    select.With(*number, now_, static_cast<int64_t>(count_max));
    while (TRY(select.Step())) rows.push_back(select.Int(0));
  }
  TRY(SeeTo(rows));
  return rows.size();
}

Result<size_t> Change::SeeToOverdue(size_t count_max) {
  std::vector<int64_t> rows;
  {
    storage::Statement select =
        TRY(db_.Prepare("SELECT row FROM task WHERE queue IN (SELECT id FROM tally)"
                        " AND state IN (3, 5) AND due <= ?1 LIMIT ?2"));
    select.With(now_, static_cast<int64_t>(count_max));
    while (TRY(select.Step())) rows.push_back(select.Int(0));
  }
  TRY(SeeTo(rows));
  return rows.size();
}

Result<> Change::SeeTo(const std::vector<int64_t>& rows) {
  for (const int64_t number : rows) {
    const TaskRow row = TRY(LoadRow(db_, number));
    if (row.state == State::kStarted) {
      TRY(Lose(row));
    } else {
      TRY(db_.Run("UPDATE task SET state = 4, due = priority WHERE row = ?1", number));
      Count(row.queue, State::kDelayed, State::kReady);
    }
  }
  return Ok{};
}

}  // namespace msearch::queue
