// Running a model's probes on its index. Private to this folder.
#pragma once

#include <vector>

#include "search/search.h"

namespace msearch::search {

// Filters, as the index wants them. With few segments left only those are scored.
struct Allowed {
  bool all = true;
  std::vector<catalog::SegmentId> sorted;
};
Result<Allowed> MakeAllowed(const catalog::Catalog& catalog, const catalog::Filters& filters);

Result<std::vector<index::Match>> RunProbe(const Engine& engine, const embedding::Probe& probe,
                                           const Allowed& allowed, size_t depth);

}  // namespace msearch::search
