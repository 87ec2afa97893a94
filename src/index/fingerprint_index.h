// Finds where a recording occurs in others, by fingerprints: rows of 32-bit items, one for each
// fixed stretch of time, that differ in few bits where the sound is the same. Knows items and ids:
// no sound, no file, no catalog. In memory only; whoever fills it can do so again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <span>
#include <vector>

#include "base/result.h"

namespace msearch::index {

// An item of 0 says that nothing can be heard there: it matches nothing.
struct FingerprintMatch {
  int64_t id = 0;
  int64_t offset = 0;     // where in the track the query begins, in items; may be negative
  uint32_t items = 0;     // of the query that were compared
  double error_rate = 1;  // share of bits that differ: 0 the same, about 0.5 by chance
};

// Thread-safe.
class FingerprintIndex {
 public:
  // A query needs this many items that can be heard, not all alike, inside of a track. About five
  // seconds of sound.
  static constexpr size_t kItemsMin = 20;
  // Beyond this share of differing bits nothing is a match; of less than about seven seconds the
  // share is lower. Other recordings don't get below 0.33 over ten seconds; the same, encoded anew
  // and with noise 5 dB below, stays below 0.13.
  static constexpr double kErrorRateMax = 0.25;
  static constexpr size_t kQueryItemsMax = 256;

  void Put(int64_t id, std::vector<uint32_t> items);
  void Remove(int64_t id);
  void Clear();
  std::vector<uint32_t> Get(int64_t id) const;  // empty: not known
  size_t size() const;
  uint64_t items() const;

  // The best place in each track, best tracks first. Every place of every track is looked at.
  // kInvalid for a query of more than kQueryItemsMax items; nothing for one with too few.
  Result<std::vector<FingerprintMatch>> Search(
      std::span<const uint32_t> query, size_t count,
      const std::function<bool(int64_t)>& allowed = nullptr) const;

 private:
  mutable std::shared_mutex mutex_;
  std::map<int64_t, std::vector<uint32_t>> tracks_;
  uint64_t items_ = 0;
};

}  // namespace msearch::index
