// Where segments and their vectors lie: the file's, in one block, and those added since, in blocks
// of a thousand. A snapshot lists the blocks as a search sees them; it never changes.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "index/codes.h"
#include "index/vector_index.h"

namespace msearch::index {

constexpr uint32_t kViewsMax = 16;
// So that sums of int8 products stay exact.
constexpr uint32_t kDimensionsMax = 65536;
constexpr uint64_t kSegmentsMax = uint64_t{1} << 31;

// The vectors of one view in a block: row r has its code at codes + r * CodeBytes(view), its
// scale (int8 only) at scales[r] and its float32 vector at exact + r * dimensions.
struct Rows {
  const std::byte* codes = nullptr;
  const float* scales = nullptr;
  const float* exact = nullptr;
  // In the file only segments that have the view have a row: slots[r] is row r's segment,
  // ascending; null when all have one. Unused in memory, where row and slot are the same and
  // Block::present tells.
  const uint32_t* slots = nullptr;
  uint32_t count = 0;
};

// A number of segments; slot s is segment ids[s].
class Block {
 public:
  virtual ~Block() = default;
  // kCorrupt when the row's float32 vector is not what was written. To be called before it is read.
  virtual Result<> CheckExact(uint32_t view, uint32_t row) const = 0;

  const SegmentId* ids = nullptr;
  std::vector<Rows> views;
  const uint32_t* present = nullptr;  // a bit for each view, by slot; null: see Rows::slots
};

class Bitmap {
 public:
  explicit Bitmap(uint32_t bits) : words_((bits + 63) / 64) {}
  bool Test(uint32_t bit) const { return ((words_[bit / 64] >> (bit % 64)) & 1) != 0; }
  void Set(uint32_t bit) { words_[bit / 64] |= uint64_t{1} << (bit % 64); }

 private:
  std::vector<uint64_t> words_;
};

// A block as one snapshot sees it.
struct Part {
  std::shared_ptr<const Block> block;
  std::shared_ptr<const Bitmap> removed;  // null: none
  uint32_t slots = 0;                     // of the block's slots, those that exist in the snapshot
  uint32_t first = 0;                     // number of slot 0 in the snapshot as a whole

  bool IsLive(uint32_t slot) const { return !removed || !removed->Test(slot); }
  uint32_t RowsOf(uint32_t view) const {
    return block->present != nullptr ? slots : block->views[view].count;
  }
  std::optional<uint32_t> FindRow(uint32_t view, uint32_t slot) const;
};

// parts[0] is the file's block, possibly empty, with ascending ids; the others are in memory.
using Snapshot = std::vector<Part>;

inline uint32_t SlotsOf(const Snapshot& snapshot) {
  return snapshot.back().first + snapshot.back().slots;
}

// Calls function(first row, count) for the rows of the view, removed segments included, as runs of
// at most `count_max` rows that lie one after another.
template <typename Function>
void ForEachRun(const Part& part, uint32_t view, uint32_t count_max, Function&& function) {
  const uint32_t* present = part.block->present;
  const uint32_t end = part.RowsOf(view);
  uint32_t first = 0;
  while (first < end) {
    uint32_t count = std::min(count_max, end - first);
    if (present != nullptr) {
      const auto has_view = [view](uint32_t views) { return ((views >> view) & 1) != 0; };
      const uint32_t* begin = std::find_if(present + first, present + end, has_view);
      first = static_cast<uint32_t>(begin - present);
      const uint32_t* stop = begin + std::min(count_max, end - first);
      count = static_cast<uint32_t>(std::find_if_not(begin, stop, has_view) - begin);
    }
    if (count > 0) function(first, count);
    first += count;
  }
}

// A block in memory, filled by one writer while readers look at the slots that their snapshot says
// exist.
class Chunk final : public Block {
 public:
  static constexpr uint32_t kSlots = 1024;

  // kExhausted when there's no memory.
  static Result<std::shared_ptr<Chunk>> Make(std::span<const View> kinds, uint32_t number);
  // Fills `slot`, one that no snapshot has yet.
  void Put(uint32_t slot, SegmentId segment, std::span<const View> kinds,
           std::span<const std::span<const float>> vectors);
  Result<> CheckExact(uint32_t, uint32_t) const override { return Ok{}; }
  uint32_t number() const { return number_; }

 private:
  struct Vectors {
    Array<std::byte> codes;
    Array<float> scales;
    Array<float> exact;
  };
  explicit Chunk(uint32_t number) : number_(number) {}

  const uint32_t number_;
  Array<SegmentId> ids_;
  Array<uint32_t> present_;
  std::vector<Vectors> vectors_;
};

}  // namespace msearch::index
