// How a search goes:
//
// One view. Every row's code is scored in the order of memory, as fast as memory delivers. Only a
// score that can still be among the best is looked at closer: is the segment live, is it allowed.
// So a filter costs nothing for the many segments that are far away anyway.
//
// Several views. Standardising needs the scores of all candidates, so they are listed first and
// each view scores the list; the fused scores pick the best.
//
// Either way more than `count` are kept, and those are scored again with the float32 vectors. An
// int8 code moves a score by some 1/100 of the standard deviation of scores; the `count` best by
// exact score are among the over-fetched unless that many others lie within this distance of
// them. bench/index_bench measures how often that happens.
#include "index/rank.h"

#include <algorithm>
#include <cmath>

#include "index/shortlist.h"

namespace msearch::index {
namespace {

constexpr uint32_t kRowsAtOnce = 1024;
constexpr uint32_t kRowsLookedAt = 64;
constexpr float kLogFloor = 1e-12F;
constexpr float kAbsent = std::numeric_limits<float>::quiet_NaN();

// A segment that is scored again costs a visit to distant memory and mostly a page fault: as long
// as scoring some hundred codes.
size_t OverFetch(size_t count) { return 2 * count + 32; }

double Transformed(const ViewQuery& query, double product) {
  if (query.transform == ViewQuery::Transform::kIdentity) return product;
  return std::log(std::max(product, double{kLogFloor}));
}

// A score as a float that compares, whatever the vectors were.
float Finite(double score) {
  constexpr float kMax = std::numeric_limits<float>::max();
  return std::isnan(score) ? -kMax : static_cast<float>(std::clamp<double>(score, -kMax, kMax));
}

// The first index at or after `from` with sorted[index] >= value, near ones first.
uint32_t Advance(std::span<const uint32_t> sorted, uint32_t from, uint32_t value) {
  uint32_t step = 1;
  uint32_t low = from;
  while (low + step < sorted.size() && sorted[low + step] < value) {
    low += step;
    step *= 2;
  }
  const auto end = sorted.begin() + std::min<ptrdiff_t>(sorted.size(), ptrdiff_t{low} + step + 1);
  return static_cast<uint32_t>(std::lower_bound(sorted.begin() + low, end, value) - sorted.begin());
}

// Calls function(index in `slots`, part, row) for those of the slots that have the view.
template <typename Function>
void ForEachRowAmong(const Snapshot& snapshot, uint32_t view, std::span<const uint32_t> slots,
                     Function&& function) {
  size_t i = 0;
  for (const Part& part : snapshot) {
    const Rows& rows = part.block->views[view];
    const std::span<const uint32_t> with_view(rows.slots, rows.slots != nullptr ? rows.count : 0);
    uint32_t row = 0;
    for (; i < slots.size() && slots[i] - part.first < part.slots; ++i) {
      const uint32_t slot = slots[i] - part.first;
      if (part.block->present != nullptr) {
        if (((part.block->present[slot] >> view) & 1) != 0) function(i, part, slot);
      } else if (rows.slots == nullptr) {
        function(i, part, slot);
      } else {
        row = Advance(with_view, row, slot);
        if (row < rows.count && rows.slots[row] == slot) function(i, part, row);
      }
    }
  }
}

// Puts the product by code of slots[i] at scores[i]; those without the view are left alone. Rows
// that lie one after another go to the kernel together.
void ScoreAmong(const Snapshot& snapshot, uint32_t view, const QueryCode& code,
                std::span<const uint32_t> slots, std::vector<float>& scores) {
  const Part* part = nullptr;
  size_t index = 0;
  uint32_t first = 0;
  uint32_t count = 0;
  const auto score_run = [&] {
    if (count == 0) return;
    const Rows& rows = part->block->views[view];
    const float* scales = rows.scales != nullptr ? rows.scales + first : nullptr;
    code.DotRows(rows.codes + first * code.bytes(), scales, count, &scores[index]);
  };
  ForEachRowAmong(snapshot, view, slots, [&](size_t i, const Part& of, uint32_t row) {
    if (&of == part && i == index + count && row == first + count) {
      ++count;
      return;
    }
    score_run();
    part = &of, index = i, first = row, count = 1;
  });
  score_run();
}

struct Spread {
  double mean = 0;
  double deviation = 0;  // 0: all the same
};

class Ranking {
 public:
  Ranking(const Snapshot& snapshot, std::span<const View> views, std::span<const ViewQuery> query,
          const Candidates& candidates)
      : snapshot_(snapshot), views_(views), query_(query), candidates_(candidates) {}

  Result<std::vector<Match>> Best(size_t count) {
    const size_t total =
        candidates_.slots != nullptr ? candidates_.slots->size() : SlotsOf(snapshot_);
    count = std::min(count, total);
    if (count == 0) return std::vector<Match>{};
    Shortlist shortlist(std::min(OverFetch(count), total));
    if (query_.size() > 1) {
      ScanAllViews(shortlist);
    } else if (candidates_.slots != nullptr) {
      ScanList(shortlist);
    } else {
      ScanEverything(shortlist);
    }
    return Rescore(shortlist.Take(), count);
  }

 private:
  bool IsCandidate(const Part& part, uint32_t slot) const {
    return part.IsLive(slot) &&
           (candidates_.allowed == nullptr || (*candidates_.allowed)(part.block->ids[slot]));
  }

  // With one view a negative weight means the least similar first.
  QueryCode OnlyCode() const {
    const ViewQuery& query = query_[0];
    return QueryCode(views_[query.view], query.vector, query.weight < 0 ? -1.0F : 1.0F);
  }

  void ScanEverything(Shortlist& shortlist) const {
    const QueryCode code = OnlyCode();
    std::vector<float> scores(kRowsAtOnce);
    for (const Part& part : snapshot_) {
      ForEachRun(part, query_[0].view, kRowsAtOnce, [&](uint32_t first, uint32_t count) {
        ScanRun(part, code, first, count, scores, shortlist);
      });
    }
  }

  void ScanRun(const Part& part, const QueryCode& code, uint32_t first, uint32_t count,
               std::vector<float>& scores, Shortlist& shortlist) const {
    const Rows& rows = part.block->views[query_[0].view];
    const float* scales = rows.scales != nullptr ? rows.scales + first : nullptr;
    code.DotRows(rows.codes + first * code.bytes(), scales, count, scores.data());
    for (uint32_t begin = 0; begin < count; begin += kRowsLookedAt) {
      const uint32_t end = std::min(begin + kRowsLookedAt, count);
      if (!AnyReaches(scores, begin, end, shortlist.threshold())) continue;
      for (uint32_t i = begin; i < end; ++i) {
        if (!(scores[i] >= shortlist.threshold())) continue;
        const uint32_t slot = rows.slots != nullptr ? rows.slots[first + i] : first + i;
        if (!IsCandidate(part, slot)) continue;
        shortlist.Offer({scores[i], part.first + slot, part.block->ids[slot]});
      }
    }
  }

  // Without a branch for each, so that the compiler makes SIMD of it.
  static bool AnyReaches(const std::vector<float>& scores, uint32_t begin, uint32_t end,
                         float threshold) {
    int reaching = 0;
    for (uint32_t i = begin; i < end; ++i) reaching |= static_cast<int>(scores[i] >= threshold);
    return reaching != 0;
  }

  void ScanList(Shortlist& shortlist) const {
    const std::vector<uint32_t>& slots = *candidates_.slots;
    std::vector<float> scores(slots.size(), kAbsent);
    ScoreAmong(snapshot_, query_[0].view, OnlyCode(), slots, scores);
    OfferAll(slots, scores, shortlist);
  }

  std::vector<uint32_t> ListCandidates() const {
    if (candidates_.slots != nullptr) return *candidates_.slots;
    std::vector<uint32_t> slots;
    slots.reserve(SlotsOf(snapshot_));
    for (const Part& part : snapshot_) {
      for (uint32_t slot = 0; slot < part.slots; ++slot) {
        if (IsCandidate(part, slot)) slots.push_back(part.first + slot);
      }
    }
    return slots;
  }

  void ScanAllViews(Shortlist& shortlist) {
    const std::vector<uint32_t> slots = ListCandidates();
    std::vector<float> fused(slots.size(), kAbsent);
    std::vector<float> scores(slots.size());
    for (const ViewQuery& query : query_) {
      std::fill(scores.begin(), scores.end(), kAbsent);
      const QueryCode code(views_[query.view], query.vector);
      ScoreAmong(snapshot_, query.view, code, slots, scores);
      if (query.transform == ViewQuery::Transform::kLog) {
        for (float& score : scores) score = std::log(std::max(score, kLogFloor));
      }
      spreads_.push_back(SpreadOf(scores));
      for (size_t i = 0; i < slots.size(); ++i) {
        if (std::isnan(scores[i])) continue;
        const double before = std::isnan(fused[i]) ? 0 : fused[i];
        fused[i] = Finite(before + Contribution(query, spreads_.back(), scores[i]));
      }
    }
    OfferAll(slots, fused, shortlist);
  }

  void OfferAll(const std::vector<uint32_t>& slots, const std::vector<float>& scores,
                Shortlist& shortlist) const {
    size_t i = 0;
    for (const Part& part : snapshot_) {
      for (; i < slots.size() && slots[i] - part.first < part.slots; ++i) {
        shortlist.Offer({scores[i], slots[i], part.block->ids[slots[i] - part.first]});
      }
    }
  }

  static Spread SpreadOf(const std::vector<float>& scores) {
    double sum = 0;
    size_t count = 0;
    for (const float score : scores) {
      if (!std::isnan(score)) sum += score, ++count;
    }
    if (count == 0) return {};
    const double mean = sum / static_cast<double>(count);
    double squares = 0;
    for (const float score : scores) {
      if (!std::isnan(score)) squares += (score - mean) * (score - mean);
    }
    return {mean, std::sqrt(squares / static_cast<double>(count))};
  }

  static double Contribution(const ViewQuery& query, const Spread& spread, double score) {
    // Rounding alone spreads equal scores by some 1e-8 of their size.
    if (spread.deviation <= 1e-7 * std::fabs(spread.mean)) return 0;
    return query.weight * (score - spread.mean) / spread.deviation;
  }

  Result<std::vector<Match>> Rescore(const std::vector<Scored>& shortlist, size_t count) const {
    std::vector<Match> matches;
    matches.reserve(shortlist.size());
    for (const Scored& scored : shortlist) matches.push_back(TRY(Rescored(scored)));
    std::sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) {
      return a.score != b.score ? a.score > b.score : a.segment < b.segment;
    });
    if (matches.size() > count) matches.resize(count);
    return matches;
  }

  Result<Match> Rescored(const Scored& scored) const {
    const auto after =
        std::upper_bound(snapshot_.begin(), snapshot_.end(), scored.slot,
                         [](uint32_t slot, const Part& part) { return slot < part.first; });
    const Part& part = *std::prev(after);
    Match match{.segment = scored.segment, .score = 0, .by_view = {}};
    double score = 0;
    for (size_t q = 0; q < query_.size(); ++q) {
      const ViewQuery& query = query_[q];
      const auto row = part.FindRow(query.view, scored.slot - part.first);
      match.by_view.push_back(0);
      if (!row) continue;
      TRY(part.block->CheckExact(query.view, *row));
      const size_t dimensions = views_[query.view].dimensions;
      const double product = ExactDot(part.block->views[query.view].exact + *row * dimensions,
                                      query.vector.data(), dimensions);
      match.by_view.back() = Finite(product);
      const double transformed = Transformed(query, product);
      score += query_.size() == 1 ? query.weight * transformed
                                  : Contribution(query, spreads_[q], transformed);
    }
    match.score = Finite(score);
    return match;
  }

  const Snapshot& snapshot_;
  const std::span<const View> views_;
  const std::span<const ViewQuery> query_;
  const Candidates& candidates_;
  std::vector<Spread> spreads_;  // by query; only when there are several
};

}  // namespace

Result<std::vector<Match>> Rank(const Snapshot& snapshot, std::span<const View> views,
                                std::span<const ViewQuery> query, size_t count,
                                const Candidates& candidates) {
  return Ranking(snapshot, views, query, candidates).Best(count);
}

}  // namespace msearch::index
