// House-keeping, in many short transactions: workers get their turn between them.
#include <algorithm>

#include "queue/embedded_queue.h"

namespace msearch::queue {
namespace {

constexpr size_t kStepRows = 500;
// Bounds one call; the rest waits for the next.
constexpr int kStepsMax = 40;

}  // namespace

Result<> EmbeddedQueue::Repeat(const std::function<Result<size_t>(Change&)>& step) {
  for (int i = 0; i < kStepsMax; ++i) {
    size_t count = 0;
    TRY(Write([&](Change& change) -> Result<> {
      count = TRY(step(change));
      return Ok{};
    }));
    if (count < kStepRows) break;
  }
  return Ok{};
}

Result<> EmbeddedQueue::RemoveBeyond(int64_t rows_max) {
  int64_t excess = 0;
  UnixMs youngest = 0;  // of those that go
  // Sought while reading, which holds up nobody.
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    excess = TRY(db.QueryInt("SELECT sum(leases - unfinished - forgotten + failed + cancelled)"
                             " - (SELECT count(*) FROM task WHERE queue IN (SELECT id FROM tally)"
                             " AND state = 3) FROM tally WHERE id > 0"))
                 .value_or(0) -
             rows_max;
    if (excess <= 0) return Ok{};
    youngest = TRY(db.QueryInt("SELECT due FROM task WHERE queue IN (SELECT id FROM tally)"
                               " AND state <= 2 ORDER BY due LIMIT 1 OFFSET ?1",
                               excess - 1))
                   .value_or(0);
    return Ok{};
  }));
  for (const State state : {State::kFinished, State::kFailed, State::kCancelled}) {
    TRY(Repeat([&](Change& change) -> Result<size_t> {
      if (excess <= 0) return size_t{0};
      const size_t removed =
          TRY(change.Remove(state, youngest, std::min(kStepRows, static_cast<size_t>(excess))));
      excess -= static_cast<int64_t>(removed);
      return removed;
    }));
  }
  return Ok{};
}

Result<> EmbeddedQueue::Maintain(const Retention& retention) {
  TRY(Repeat([](Change& change) { return change.SeeToOverdue(kStepRows); }));
  for (const State state : {State::kFinished, State::kFailed, State::kCancelled}) {
    const Milliseconds kept = state == State::kFinished ? retention.finished : retention.failed;
    TRY(Repeat([&](Change& change) {
      return change.Remove(state, change.now() - kept.count(), kStepRows);
    }));
  }
  TRY(RemoveBeyond(retention.rows_max));
  return Write([](Change& change) {
    return change.db().Run("DELETE FROM worker WHERE expires_at <= ?1", change.now());
  });
}

Result<> EmbeddedQueue::RaiseEpoch(uint64_t epoch) {
  return Write([&](Change& change) {
    return change.db().Run("UPDATE tally SET epoch = max(epoch, ?1) WHERE id = 0",
                           static_cast<int64_t>(epoch));
  });
}

}  // namespace msearch::queue
