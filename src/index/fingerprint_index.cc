// An exact scan: the query is laid over every place of every track and differing bits are counted.
// Most places are given up after a few items spread over the query, whose bits already differ in
// more than a match's could; so a track costs a few instructions for each of its items.

#include "index/fingerprint_index.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <unordered_set>

namespace msearch::index {
namespace {

// Items looked at first, and the share of differing bits at which a place is given up. Far above
// that of any match, because a few items may be damaged.
constexpr size_t kProbes = 8;
constexpr double kProbeErrorRateMax = 0.38;

struct Query {
  std::vector<uint32_t> items;
  std::vector<uint32_t> positions;  // of the items that count, ascending
  std::vector<uint32_t> probes;     // some of these
};

Query Prepare(std::span<const uint32_t> items) {
  Query query;
  query.items.assign(items.begin(), items.end());
  std::unordered_set<uint32_t> kinds;
  for (uint32_t i = 0; i < items.size(); ++i) {
    if (items[i] == 0) continue;
    query.positions.push_back(i);
    kinds.insert(items[i]);
  }
  // A steady tone has one and the same item throughout and would be found in every other.
  if (query.positions.size() < FingerprintIndex::kItemsMin ||
      kinds.size() < FingerprintIndex::kItemsMin / 2) {
    query.positions.clear();
    return query;
  }
  for (size_t i = 0; i < kProbes; ++i) {
    query.probes.push_back(query.positions[i * (query.positions.size() - 1) / (kProbes - 1)]);
  }
  return query;
}

// Counting bits is one instruction where the processor has it. A sanitizer isn't ready when
// the loader asks which it is.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define MSEARCH_POPCNT __attribute__((target_clones("popcnt", "default")))
#else
#define MSEARCH_POPCNT
#endif

// The first place in [begin, end) at or after which the probes don't rule out a match; `end` for
// none. REQUIRES: all of the query lies within the track there.
MSEARCH_POPCNT int64_t NextCandidate(const uint32_t* track, const uint32_t* query,
                                     const uint32_t* probes, int64_t begin, int64_t end) {
  constexpr int kMost = static_cast<int>(kProbeErrorRateMax * 32 * kProbes);
  for (int64_t place = begin; place < end; ++place) {
    int differing = 0;
    for (size_t i = 0; i < kProbes; ++i) {
      differing += __builtin_popcount(track[place + probes[i]] ^ query[probes[i]]);
    }
    if (differing <= kMost) return place;
  }
  return end;
}

MSEARCH_POPCNT uint32_t Differing(const uint32_t* track, const Query& query, int64_t place,
                                  int64_t size, uint32_t* compared) {
  uint32_t bits = 0;
  uint32_t items = 0;
  for (const uint32_t position : query.positions) {
    const int64_t at = place + position;
    if (at < 0 || at >= size) continue;
    bits += static_cast<uint32_t>(__builtin_popcount(track[at] ^ query.items[position]));
    ++items;
  }
  *compared = items;
  return bits;
}

// Few items agree by chance more easily: of tunes by chance the nearest places of 20, 30, 40 and 60
// items differ in .21, .26, .28 and .33 of their bits.
double ErrorRateMax(uint32_t compared) {
  constexpr double kMany = 60;
  const double missing = std::max(0.0, kMany - compared) / kMany;
  return FingerprintIndex::kErrorRateMax - 0.165 * missing;
}

void Consider(std::span<const uint32_t> track, const Query& query, int64_t place,
              FingerprintMatch* best) {
  uint32_t compared = 0;
  const uint32_t bits =
      Differing(track.data(), query, place, static_cast<int64_t>(track.size()), &compared);
  if (compared < FingerprintIndex::kItemsMin) return;
  const double rate = bits / (32.0 * compared);
  if (rate > ErrorRateMax(compared)) return;
  // Of places equally good the one that shows more of the query.
  const double judged = rate + 0.02 * (1 - static_cast<double>(compared) /
                                               static_cast<double>(query.positions.size()));
  if (judged >= best->error_rate) return;
  best->offset = place;
  best->items = compared;
  best->error_rate = judged;
}

FingerprintMatch BestPlace(std::span<const uint32_t> track, const Query& query) {
  FingerprintMatch best;
  const auto size = static_cast<int64_t>(track.size());
  const auto length = static_cast<int64_t>(query.items.size());
  const int64_t inside = size - length + 1;
  // Where all of the query lies within the track.
  for (int64_t place = 0; place < inside; ++place) {
    place = NextCandidate(track.data(), query.items.data(), query.probes.data(), place, inside);
    if (place < inside) Consider(track, query, place, &best);
  }
  // Where a part of it stands over.
  const auto overlap = static_cast<int64_t>(FingerprintIndex::kItemsMin);
  for (int64_t place = overlap - length; place <= size - overlap; ++place) {
    if (place >= 0 && place < inside) {
      place = inside - 1;
      continue;
    }
    Consider(track, query, place, &best);
  }
  return best;
}

}  // namespace

void FingerprintIndex::Put(int64_t id, std::vector<uint32_t> items) {
  std::unique_lock lock(mutex_);
  std::vector<uint32_t>& track = tracks_[id];
  items_ += items.size();
  items_ -= track.size();
  track = std::move(items);
}

void FingerprintIndex::Remove(int64_t id) {
  std::unique_lock lock(mutex_);
  const auto found = tracks_.find(id);
  if (found == tracks_.end()) return;
  items_ -= found->second.size();
  tracks_.erase(found);
}

void FingerprintIndex::Clear() {
  std::unique_lock lock(mutex_);
  tracks_.clear();
  items_ = 0;
}

std::vector<uint32_t> FingerprintIndex::Get(int64_t id) const {
  std::shared_lock lock(mutex_);
  const auto found = tracks_.find(id);
  return found != tracks_.end() ? found->second : std::vector<uint32_t>();
}

size_t FingerprintIndex::size() const {
  std::shared_lock lock(mutex_);
  return tracks_.size();
}

uint64_t FingerprintIndex::items() const {
  std::shared_lock lock(mutex_);
  return items_;
}

Result<std::vector<FingerprintMatch>> FingerprintIndex::Search(
    std::span<const uint32_t> items, size_t count,
    const std::function<bool(int64_t)>& allowed) const {
  if (items.size() > kQueryItemsMax) {
    return Error{Code::kInvalid, "fingerprint: more than " + std::to_string(kQueryItemsMax) +
                                     " items are asked for at once"};
  }
  std::vector<FingerprintMatch> matches;
  const Query query = Prepare(items);
  if (query.positions.empty()) return matches;
  std::shared_lock lock(mutex_);
  for (const auto& [id, track] : tracks_) {
    if (allowed != nullptr && !allowed(id)) continue;
    FingerprintMatch best = BestPlace(track, query);
    if (best.items == 0) continue;
    best.id = id;
    matches.push_back(best);
  }
  std::sort(matches.begin(), matches.end(), [](const auto& a, const auto& b) {
    return a.error_rate != b.error_rate ? a.error_rate < b.error_rate : a.id < b.id;
  });
  if (matches.size() > count) matches.resize(count);
  return matches;
}

}  // namespace msearch::index
