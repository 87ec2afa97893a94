// From a query to its best segments within one snapshot.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "index/block.h"

namespace msearch::index {

// What a search may find: `slots` of the snapshot (ascending, live) when given, else all live
// segments for which `allowed` (when given) is true.
struct Candidates {
  const std::vector<uint32_t>* slots = nullptr;
  const std::function<bool(SegmentId)>* allowed = nullptr;
};

// REQUIRES: each query's vector is finite and has its view's dimensions; divide_by_mean is done.
Result<std::vector<Match>> Rank(const Snapshot& snapshot, std::span<const View> views,
                                std::span<const ViewQuery> query, size_t count,
                                const Candidates& candidates);

}  // namespace msearch::index
