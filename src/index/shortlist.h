// Keeps the best of a stream.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "index/vector_index.h"

namespace msearch::index {

struct Scored {
  float score = 0;
  uint32_t slot = 0;
  SegmentId segment = 0;
};

// Best first; equal scores by id, so that the same search always answers the same.
inline bool Better(const Scored& a, const Scored& b) {
  return a.score != b.score ? a.score > b.score : a.segment < b.segment;
}

// The best `capacity` of what is offered. Collects twice as many and drops the worse half at once:
// cheaper than a heap, and nearly all that a scan offers is refused by the threshold alone.
class Shortlist {
 public:
  // REQUIRES: capacity > 0
  explicit Shortlist(size_t capacity) : capacity_(capacity) { kept_.reserve(2 * capacity); }

  // Nothing below this score can be among the best any more; equal ones can, by their id. NaN is
  // below everything.
  float threshold() const { return threshold_; }
  void Offer(const Scored& scored) {
    if (!(scored.score >= threshold_)) return;
    kept_.push_back(scored);
    if (kept_.size() >= 2 * capacity_) Trim();
  }
  // Best first.
  std::vector<Scored> Take() {
    if (kept_.size() > capacity_) Trim();
    std::sort(kept_.begin(), kept_.end(), Better);
    return std::move(kept_);
  }

 private:
  void Trim() {
    std::nth_element(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(capacity_ - 1),
                     kept_.end(), Better);
    kept_.resize(capacity_);
    threshold_ = kept_.back().score;
  }

  const size_t capacity_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Scored> kept_;
};

}  // namespace msearch::index
