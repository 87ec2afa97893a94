// What the ways of searching found so far, before it is grouped and shown.
#pragma once

#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "catalog/catalog.h"
#include "search/search.h"

namespace msearch::search {

struct Candidate {
  double fused = 0;
  double doubt = 1;  // product of (1 - p)
  bool strong = false;
  std::vector<Reason> reasons;
  // Seconds; when the match is known more exactly than by its segment.
  std::optional<std::pair<double, double>> moment;
};
using Candidates = std::unordered_map<catalog::SegmentId, Candidate>;

inline constexpr double kRankOffset = 60;

// A list in which nothing is sure counts less than one that found what was asked for.
inline double ListWeight(double surest) { return 0.1 + 0.9 * surest; }

}  // namespace msearch::search
