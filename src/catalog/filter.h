// Which media and segments pass the filters of a query.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "storage/sqlite.h"

namespace msearch::catalog {

struct DatedMedia {
  MediaId id = 0;
  UnixMs date = 0;
};

// Visible media that pass, oldest first.
Result<std::vector<DatedMedia>> PassingMedia(storage::Sqlite& db, const Filters& filters);
// Their segments, sorted.
Result<std::vector<SegmentId>> PassingSegments(storage::Sqlite& db, const Filters& filters);

// Whether a path is what the filters ask for.
bool PathPasses(const Filters& filters, std::string_view root, std::string_view path);

}  // namespace msearch::catalog
