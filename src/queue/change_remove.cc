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
      "DELETE FROM task WHERE row IN (SELECT row FROM task WHERE state = ?1 AND ended_at <= ?2"
      " ORDER BY ended_at LIMIT ?3) RETURNING queue, state"));
  removal.With(static_cast<int>(state), ended_until, static_cast<int64_t>(count_max));
  return CountRemoved(removal);
}

Result<size_t> Change::RemoveOldest(size_t count_max) {
  storage::Statement removal = TRY(db_.Prepare(
      "DELETE FROM task WHERE row IN (SELECT row FROM ("
      "SELECT * FROM (SELECT row, ended_at FROM task WHERE state = 4 AND ended_at IS NOT NULL"
      " ORDER BY ended_at LIMIT ?1) UNION ALL "
      "SELECT * FROM (SELECT row, ended_at FROM task WHERE state = 5 AND ended_at IS NOT NULL"
      " ORDER BY ended_at LIMIT ?1) UNION ALL "
      "SELECT * FROM (SELECT row, ended_at FROM task WHERE state = 6 AND ended_at IS NOT NULL"
      " ORDER BY ended_at LIMIT ?1)) ORDER BY ended_at, row LIMIT ?1) RETURNING queue, state"));
  removal.With(static_cast<int64_t>(count_max));
  return CountRemoved(removal);
}

}  // namespace msearch::queue
