// The exact index: the file's segments and those added since, seen by searches as snapshots.
//
// A snapshot is an immutable list of blocks with what is removed from each. A writer makes a
// changed copy (some microseconds; a bit for each segment when one of the file's is removed) and
// swaps the pointer, so that a search goes on undisturbed over the state of the moment it began:
// it can't miss a segment that is being replaced, and a removed vector is gone from the next one.
// New vectors are appended to a block in memory at slots that no older snapshot has.
//
// Save() seals the blocks, writes the snapshot without holding a lock, then puts the new file in
// the place of the old one and of the sealed blocks. What was removed meanwhile is in the new file
// and is marked again; what was added meanwhile is in newer blocks and stays.
//
// Locks: writing_ is held by whoever changes the index, also while reading vectors from the disk;
// published_ only for the moment of looking at or exchanging the members below it. saving_ lets
// one Save run at a time. They are taken in the order saving_, writing_, published_.
#include "index/vector_index.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "index/block.h"
#include "index/file_writer.h"
#include "index/mapped_file.h"
#include "index/rank.h"

namespace msearch::index {
namespace {

// Products of such numbers, summed over all dimensions, are still floats.
constexpr float kElementMax = 1e15F;
constexpr double kMeanMin = 1e-9;

bool IsUsable(std::span<const float> vector) {
  return std::all_of(vector.begin(), vector.end(),
                     [](float x) { return std::fabs(x) <= kElementMax; });
}

Result<> CheckOptions(const IndexOptions& options) {
  const Error invalid{Code::kInvalid, "vector index: views or model key out of bounds"};
  if (options.views.empty() || options.views.size() > kViewsMax) return invalid;
  if (options.model_key.size() > kNameBytesMax) return invalid;
  for (const View& view : options.views) {
    if (view.dimensions == 0 || view.dimensions > kDimensionsMax) return invalid;
    if (view.name.size() > kNameBytesMax) return invalid;
  }
  return Ok{};
}

class ExactIndex final : public VectorIndex {
 public:
  ExactIndex(std::string path, IndexOptions options, std::shared_ptr<const MappedFile> file)
      : path_(std::move(path)), options_(std::move(options)) {
    position_ = saved_position_ = file->head().position;
    live_ = file->segments();
    sums_ = file->sums();
    for (const uint64_t rows : file->head().rows) counts_.push_back(static_cast<int64_t>(rows));
    const uint32_t slots = file->segments();
    file_ = std::move(file);
    snapshot_ = std::make_shared<Snapshot>(Snapshot{Part{.block = file_, .slots = slots}});
  }

  Result<> Add(SegmentId segment, std::span<const std::span<const float>> vectors) override;
  void Remove(SegmentId segment) override;
  Result<std::vector<Match>> Search(std::span<const ViewQuery> query, size_t count,
                                    const std::function<bool(SegmentId)>& allowed) const override;
  Result<std::vector<Match>> SearchAmong(std::span<const ViewQuery> query, size_t count,
                                         std::span<const SegmentId> candidates) const override;
  Result<std::vector<float>> Get(SegmentId segment, uint32_t view) const override;
  std::vector<SegmentId> Segments() const override;
  Result<> Save() override;
  Result<> Verify() const override;

  size_t size() const override {
    const std::shared_lock lock(published_);
    return live_;
  }
  uint64_t position() const override {
    const std::shared_lock lock(published_);
    return position_;
  }
  void set_position(uint64_t position) override {
    const std::lock_guard writing(writing_);
    const std::lock_guard lock(published_);
    position_ = position;
  }

 private:
  // Where a segment in memory is.
  struct Place {
    uint32_t chunk;
    uint32_t slot;
  };
  // The same in terms of one snapshot.
  struct Spot {
    size_t part;
    uint32_t slot;
  };

  Result<> CheckVectors(std::span<const std::span<const float>> vectors) const;
  Result<std::vector<ViewQuery>> Prepare(std::span<const ViewQuery> query) const;
  void DivideByMean(ViewQuery& query) const;

  // These require published_ or writing_.
  std::optional<Spot> FindInMemory(SegmentId segment) const;
  std::optional<Spot> Find(SegmentId segment) const;

  // These require writing_.
  Result<> MakeRoom();
  void TakeOut(Snapshot& next, SegmentId segment, const Spot& spot);
  void CountVectors(const Part& part, uint32_t slot, int sign);
  void PutInPlace(std::shared_ptr<const MappedFile> file, size_t sealed, const Sums& sums_before);

  const std::string path_;
  const IndexOptions options_;

  std::mutex saving_;

  mutable std::mutex writing_;
  std::shared_ptr<Chunk> chunk_;  // being filled; null: the next Add makes one
  uint32_t chunk_slots_ = 0;
  uint32_t chunks_made_ = 0;
  bool is_saving_ = false;
  std::vector<SegmentId> removed_while_saving_;
  uint64_t changes_ = 0;
  uint64_t saved_changes_ = 0;
  uint64_t saved_position_ = 0;

  // Changed with both locks held, so that either is enough to read them.
  mutable std::shared_mutex published_;
  std::shared_ptr<const MappedFile> file_;  // the block of the snapshot's first part
  std::shared_ptr<const Snapshot> snapshot_;
  std::unordered_map<SegmentId, Place> in_memory_;
  uint32_t first_chunk_ = 0;  // the number of the chunk in the snapshot's second part
  size_t live_ = 0;
  uint64_t position_ = 0;
  Sums sums_;
  std::vector<int64_t> counts_;  // by view: live segments that have it
};

Result<> ExactIndex::CheckVectors(std::span<const std::span<const float>> vectors) const {
  if (vectors.size() != options_.views.size()) {
    return Error{Code::kInvalid, "segment: a vector for each view is needed, empty where absent"};
  }
  for (size_t v = 0; v < vectors.size(); ++v) {
    if (vectors[v].empty()) continue;
    if (vectors[v].size() != options_.views[v].dimensions || !IsUsable(vectors[v])) {
      return Error{Code::kInvalid, options_.views[v].name + ": a vector of " +
                                       std::to_string(options_.views[v].dimensions) +
                                       " finite numbers is needed"};
    }
  }
  return Ok{};
}

std::optional<ExactIndex::Spot> ExactIndex::FindInMemory(SegmentId segment) const {
  const auto found = in_memory_.find(segment);
  if (found == in_memory_.end()) return std::nullopt;
  return Spot{found->second.chunk - first_chunk_ + size_t{1}, found->second.slot};
}

std::optional<ExactIndex::Spot> ExactIndex::Find(SegmentId segment) const {
  if (const auto spot = FindInMemory(segment)) return spot;
  const auto slot = file_->Find(segment);
  if (!slot || !snapshot_->front().IsLive(*slot)) return std::nullopt;
  return Spot{0, *slot};
}

// A slot in a chunk for one more segment.
Result<> ExactIndex::MakeRoom() {
  if (SlotsOf(*snapshot_) >= kSegmentsMax) {
    return Error{Code::kTooLarge, path_ + ": the index is full"};
  }
  if (chunk_ && chunk_slots_ < Chunk::kSlots) return Ok{};
  chunk_ = TRY(Chunk::Make(options_.views, chunks_made_));
  ++chunks_made_;
  chunk_slots_ = 0;
  return Ok{};
}

// Marks the segment in `next`, a copy of the snapshot, and reads its vectors, so that counting
// them out with the lock held doesn't wait for a disk.
void ExactIndex::TakeOut(Snapshot& next, SegmentId segment, const Spot& spot) {
  Part& part = next[spot.part];
  const uint32_t slots = spot.part == 0 ? part.slots : Chunk::kSlots;
  auto removed = std::make_shared<Bitmap>(part.removed ? *part.removed : Bitmap(slots));
  removed->Set(spot.slot);
  part.removed = std::move(removed);
  if (is_saving_) removed_while_saving_.push_back(segment);
  for (uint32_t v = 0; v < options_.views.size(); ++v) {
    if (const auto row = part.FindRow(v, spot.slot)) (void)part.block->CheckExact(v, *row);
  }
}

// A damaged vector is left out: whoever searches or saves will come across it too.
void ExactIndex::CountVectors(const Part& part, uint32_t slot, int sign) {
  for (uint32_t v = 0; v < options_.views.size(); ++v) {
    const auto row = part.FindRow(v, slot);
    if (!row) continue;
    counts_[v] += sign;
    if (!part.block->CheckExact(v, *row).ok()) continue;
    const size_t dimensions = options_.views[v].dimensions;
    const float* vector = part.block->views[v].exact + *row * dimensions;
    for (size_t i = 0; i < dimensions; ++i) sums_[v][i] += sign * double{vector[i]};
  }
}

Result<> ExactIndex::Add(SegmentId segment, std::span<const std::span<const float>> vectors) {
  TRY(CheckVectors(vectors));
  const std::lock_guard writing(writing_);
  TRY(MakeRoom());
  const uint32_t slot = chunk_slots_++;
  chunk_->Put(slot, segment, options_.views, vectors);
  auto next = std::make_shared<Snapshot>(*snapshot_);
  const std::optional<Spot> old = Find(segment);
  if (old) TakeOut(*next, segment, *old);
  if (slot == 0) next->push_back({.block = chunk_, .removed = nullptr, .first = SlotsOf(*next)});
  next->back().slots = slot + 1;
  ++changes_;

  std::shared_ptr<const Snapshot> before = std::move(next);  // freed after the lock
  const std::lock_guard lock(published_);
  snapshot_.swap(before);
  if (old) CountVectors((*before)[old->part], old->slot, -1);
  CountVectors(snapshot_->back(), slot, 1);
  in_memory_[segment] = {chunk_->number(), slot};
  if (!old) ++live_;
  return Ok{};
}

void ExactIndex::Remove(SegmentId segment) {
  const std::lock_guard writing(writing_);
  const std::optional<Spot> old = Find(segment);
  if (!old) return;
  auto next = std::make_shared<Snapshot>(*snapshot_);
  TakeOut(*next, segment, *old);
  ++changes_;

  std::shared_ptr<const Snapshot> before = std::move(next);
  const std::lock_guard lock(published_);
  snapshot_.swap(before);
  CountVectors((*before)[old->part], old->slot, -1);
  in_memory_.erase(segment);
  --live_;
}

void ExactIndex::DivideByMean(ViewQuery& query) const {
  const std::vector<double>& sums = sums_[query.view];
  const double largest = *std::max_element(sums.begin(), sums.end());
  for (size_t i = 0; i < sums.size(); ++i) {
    const double mean = sums[i] / static_cast<double>(counts_[query.view]);
    const bool counts = counts_[query.view] > 0 && sums[i] > kMeanMin * largest;
    const double divided = counts ? query.vector[i] / mean : 0;
    query.vector[i] = static_cast<float>(std::clamp<double>(divided, -kElementMax, kElementMax));
  }
}

// Requires published_ or writing_.
Result<std::vector<ViewQuery>> ExactIndex::Prepare(std::span<const ViewQuery> query) const {
  if (query.empty()) return Error{Code::kInvalid, "query: no view"};
  std::vector<ViewQuery> prepared(query.begin(), query.end());
  for (ViewQuery& one : prepared) {
    if (one.view >= options_.views.size()) return Error{Code::kInvalid, "query: no such view"};
    const View& view = options_.views[one.view];
    if (one.vector.size() != view.dimensions || !IsUsable(one.vector) ||
        !std::isfinite(one.weight)) {
      return Error{Code::kInvalid, "query: " + std::to_string(view.dimensions) +
                                       " finite numbers are needed for " + view.name};
    }
    if (one.divide_by_mean) DivideByMean(one);
  }
  return prepared;
}

Result<std::vector<Match>> ExactIndex::Search(std::span<const ViewQuery> query, size_t count,
                                              const std::function<bool(SegmentId)>& allowed) const {
  std::shared_lock lock(published_);
  const std::vector<ViewQuery> prepared = TRY(Prepare(query));
  const std::shared_ptr<const Snapshot> snapshot = snapshot_;
  lock.unlock();
  return Rank(*snapshot, options_.views, prepared, count,
              {.slots = nullptr, .allowed = allowed ? &allowed : nullptr});
}

Result<std::vector<Match>> ExactIndex::SearchAmong(std::span<const ViewQuery> query, size_t count,
                                                   std::span<const SegmentId> candidates) const {
  std::shared_lock lock(published_);
  const std::vector<ViewQuery> prepared = TRY(Prepare(query));
  const std::shared_ptr<const Snapshot> snapshot = snapshot_;
  const std::shared_ptr<const MappedFile> file = file_;
  std::vector<uint32_t> slots;
  std::vector<SegmentId> others;
  for (const SegmentId segment : candidates) {
    if (const auto spot = FindInMemory(segment)) {
      slots.push_back((*snapshot)[spot->part].first + spot->slot);
    } else {
      others.push_back(segment);
    }
  }
  lock.unlock();
  for (const SegmentId segment : others) {
    const auto slot = file->Find(segment);
    if (slot && snapshot->front().IsLive(*slot)) slots.push_back(*slot);
  }
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  return Rank(*snapshot, options_.views, prepared, count, {.slots = &slots, .allowed = nullptr});
}

Result<std::vector<float>> ExactIndex::Get(SegmentId segment, uint32_t view) const {
  const Error absent{Code::kNotFound, "segment " + std::to_string(segment) + ": no such vector"};
  if (view >= options_.views.size()) return absent;
  std::shared_lock lock(published_);
  const std::optional<Spot> spot = Find(segment);
  if (!spot) return absent;
  const Part part = (*snapshot_)[spot->part];
  lock.unlock();
  const auto row = part.FindRow(view, spot->slot);
  if (!row) return absent;
  TRY(part.block->CheckExact(view, *row));
  const size_t dimensions = options_.views[view].dimensions;
  const float* vector = part.block->views[view].exact + *row * dimensions;
  return std::vector<float>(vector, vector + dimensions);
}

std::vector<SegmentId> ExactIndex::Segments() const {
  std::shared_lock lock(published_);
  const std::shared_ptr<const Snapshot> snapshot = snapshot_;
  lock.unlock();
  std::vector<SegmentId> segments;
  for (const Part& part : *snapshot) {
    for (uint32_t slot = 0; slot < part.slots; ++slot) {
      if (part.IsLive(slot)) segments.push_back(part.block->ids[slot]);
    }
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

Result<> ExactIndex::Verify() const {
  std::shared_lock lock(published_);
  const std::shared_ptr<const MappedFile> file = file_;
  lock.unlock();
  return file->CheckAll();
}

Result<> ExactIndex::Save() {
  const std::lock_guard saving(saving_);
  std::unique_lock writing(writing_);
  if (changes_ == saved_changes_ && position_ == saved_position_) return Ok{};
  chunk_ = nullptr;
  removed_while_saving_.clear();
  is_saving_ = true;
  const std::shared_ptr<const Snapshot> snapshot = snapshot_;
  const Sums sums_before = sums_;
  const uint64_t position = position_;
  const uint64_t changes = changes_;
  writing.unlock();

  const Result<> written = WriteIndexFile(path_, options_, *snapshot, position);
  auto file = written.ok() ? MappedFile::Open(path_, options_, /*just_written=*/true)
                           : Result<std::shared_ptr<const MappedFile>>(written.error());
  writing.lock();
  is_saving_ = false;
  if (!file.ok()) return file.error();
  saved_position_ = position;
  saved_changes_ = changes;
  PutInPlace(*std::move(file), snapshot->size(), sums_before);
  return Ok{};
}

// The file takes the place of the first `sealed` parts, which were written to it. Its sums are
// free of the rounding of many additions and removals.
void ExactIndex::PutInPlace(std::shared_ptr<const MappedFile> file, size_t sealed,
                            const Sums& sums_before) {
  Part first{.block = file, .removed = nullptr, .slots = file->segments()};
  auto removed = std::make_shared<Bitmap>(first.slots);
  for (const SegmentId segment : removed_while_saving_) {
    if (const auto slot = file->Find(segment)) removed->Set(*slot);
  }
  if (!removed_while_saving_.empty()) first.removed = std::move(removed);
  auto next = std::make_shared<Snapshot>(Snapshot{first});
  for (size_t p = sealed; p < snapshot_->size(); ++p) {
    Part part = (*snapshot_)[p];
    part.first = SlotsOf(*next);
    next->push_back(std::move(part));
  }
  const uint32_t first_chunk = first_chunk_ + static_cast<uint32_t>(sealed - 1);
  std::unordered_map<SegmentId, Place> in_memory;
  for (const auto& [segment, place] : in_memory_) {
    if (place.chunk >= first_chunk) in_memory[segment] = place;
  }
  Sums sums = file->sums();
  for (size_t v = 0; v < sums.size(); ++v) {
    for (size_t i = 0; i < sums[v].size(); ++i) sums[v][i] += sums_[v][i] - sums_before[v][i];
  }

  std::shared_ptr<const Snapshot> before = std::move(next);
  const std::lock_guard lock(published_);
  file_.swap(file);
  snapshot_.swap(before);
  in_memory_.swap(in_memory);
  first_chunk_ = first_chunk;
  sums_ = std::move(sums);
}

}  // namespace

Result<std::unique_ptr<VectorIndex>> VectorIndex::Open(const std::string& path,
                                                       IndexOptions options) {
  TRY(CheckOptions(options));
  unlink(UnfinishedPath(path).c_str());
  auto file = MappedFile::Open(path, options);
  if (!file.ok() && file.code() != Code::kNotFound) return file.error();
  auto whole = file.ok() ? *std::move(file) : MappedFile::None(options);
  return std::unique_ptr<VectorIndex>(
      std::make_unique<ExactIndex>(path, std::move(options), std::move(whole)));
}

}  // namespace msearch::index
