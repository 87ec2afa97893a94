// Retention: ended tasks go, oldest first, in pieces small enough that nobody waits long.
#include "queue/change.h"

namespace msearch::queue {

Result<size_t> Change::CountRemoved(storage::Statement& removal) {
  size_t count = 0;
  while (TRY(removal.Step())) {
    Count(removal.Int(0), static_cast<State>(removal.Int(1)), std::nullopt);
    ++count;
  }
  return count;
}

Result<size_t> Change::Remove(State state, UnixMs ended_until, size_t count_max) {
  storage::Statement removal = TRY(db_.Prepare(
      "DELETE FROM task WHERE row IN (SELECT row FROM task WHERE queue IN (SELECT id FROM tally)"
      " AND state = ?1 AND due <= ?2 LIMIT ?3) RETURNING queue, state"));
  removal.With(static_cast<int>(state), ended_until, static_cast<int64_t>(count_max));
  return CountRemoved(removal);
}

}  // namespace msearch::queue
