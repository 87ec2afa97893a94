#include "index/block.h"

#include <algorithm>
#include <cstring>

namespace msearch::index {

std::optional<uint32_t> Part::FindRow(uint32_t view, uint32_t slot) const {
  if (block->present != nullptr) {
    if (((block->present[slot] >> view) & 1) == 0) return std::nullopt;
    return slot;
  }
  const Rows& rows = block->views[view];
  if (rows.slots == nullptr) return slot;
  const uint32_t* end = rows.slots + rows.count;
  const uint32_t* found = std::lower_bound(rows.slots, end, slot);
  if (found == end || *found != slot) return std::nullopt;
  return static_cast<uint32_t>(found - rows.slots);
}

Result<std::shared_ptr<Chunk>> Chunk::Make(std::span<const View> kinds, uint32_t number) {
  const Error no_memory{Code::kExhausted, "vector index: out of memory"};
  std::shared_ptr<Chunk> chunk(new Chunk(number));
  chunk->ids_ = MakeArray<SegmentId>(kSlots);
  chunk->present_ = MakeArray<uint32_t>(kSlots);
  if (!chunk->ids_ || !chunk->present_) return no_memory;
  for (const View& view : kinds) {
    Vectors vectors{MakeArray<std::byte>(kSlots * CodeBytes(view)), MakeArray<float>(kSlots),
                    MakeArray<float>(size_t{kSlots} * view.dimensions)};
    if (!vectors.codes || !vectors.scales || !vectors.exact) return no_memory;
    chunk->views.push_back({.codes = vectors.codes.get(),
                            .scales = vectors.scales.get(),
                            .exact = vectors.exact.get()});
    chunk->vectors_.push_back(std::move(vectors));
  }
  chunk->ids = chunk->ids_.get();
  chunk->present = chunk->present_.get();
  return chunk;
}

void Chunk::Put(uint32_t slot, SegmentId segment, std::span<const View> kinds,
                std::span<const std::span<const float>> vectors) {
  assert(slot < kSlots);
  ids_[slot] = segment;
  uint32_t mask = 0;
  for (uint32_t v = 0; v < kinds.size(); ++v) {
    if (vectors[v].empty()) continue;
    mask |= uint32_t{1} << v;
    const size_t dimensions = kinds[v].dimensions;
    Vectors& to = vectors_[v];
    std::memcpy(&to.exact[slot * dimensions], vectors[v].data(), dimensions * sizeof(float));
    to.scales[slot] = Encode(kinds[v], vectors[v].data(), &to.codes[slot * CodeBytes(kinds[v])]);
  }
  present_[slot] = mask;
}

}  // namespace msearch::index
