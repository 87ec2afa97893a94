// The change log that index replicas follow. Positions grow in the order of commits.
//
// One row for each (segment, model), at the position of its latest change: an addition replaces an
// earlier removal and the other way round. A replica at position P replays the rows after P. Rows
// of removed segments stay until there are many; then the oldest are forgotten and the model's
// floor is raised. A replica below the floor may have missed removals and starts from nothing. So
// that such a replica gets above the floor by replaying, the additions that lie below a new floor
// are first moved to new positions; this costs as much as the removals that made it necessary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "storage/sqlite.h"

namespace msearch::catalog {

// Little-endian: number of views, then of each its dimensions (uint32) and float32 values.
std::string PackViews(const std::vector<std::vector<float>>& views);
// kCorrupt when the bytes are no such value.
Result<std::vector<std::vector<float>>> UnpackViews(std::string_view bytes);

// Within the caller's transaction.
Result<> LogChange(storage::Sqlite& db, SegmentId segment, int64_t model, bool removed);
// For every embedding of the media.
Result<> LogMediaChange(storage::Sqlite& db, MediaId media, bool removed);

Result<std::vector<IndexChange>> ReadChanges(storage::Sqlite& db, const std::string& model_key,
                                             uint64_t position, size_t limit, bool* restart);
Result<uint64_t> LastPosition(storage::Sqlite& db);
// A position that no change has, above all that were given.
Result<uint64_t> SkipPosition(storage::Sqlite& db);

// One bounded step of forgetting removals, once there are more than `removals_max` of them and
// twice as many as embeddings. True while there is more to do; each step wants a transaction of
// its own.
Result<bool> PruneChanges(storage::Sqlite& db, int64_t removals_max);

}  // namespace msearch::catalog
