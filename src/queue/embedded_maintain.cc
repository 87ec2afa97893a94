// House-keeping, in many short transactions: workers get their turn between them.
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

Result<> EmbeddedQueue::Maintain(const Retention& retention) {
  TRY(Repeat([](Change& change) { return change.SeeToOverdue(kStepRows); }));
  for (const State state : {State::kFinished, State::kFailed, State::kCancelled}) {
    const Milliseconds kept = state == State::kFinished ? retention.finished : retention.failed;
    TRY(Repeat([&](Change& change) {
      return change.Remove(state, change.now() - kept.count(), kStepRows);
    }));
  }
  TRY(Repeat([&](Change& change) -> Result<size_t> {
    const int64_t ended = TRY(change.CountEnded());
    if (ended <= retention.rows_max) return size_t{0};
    return change.RemoveOldest(
        std::min(kStepRows, static_cast<size_t>(ended - retention.rows_max)));
  }));
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
