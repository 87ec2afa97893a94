// Exact nearest-neighbour search over the embeddings of one model. Knows ids and floats, no files
// of the user, no catalog.
//
// An index holds *segments*, each with one vector per *view* (a model such as open-1k describes a
// segment in several ways; most have one view). Scoring is the inner product; vectors of models
// that want cosine are normalised by whoever embeds.
//
// On disk an index is one memory-mapped file: versioned, checksummed, written beside the old one
// and renamed (docs/formats.md). It is a cache: every byte can be rebuilt from the catalog, so a
// damaged file is an error to report and a rebuild, never a crash. What was added since the file
// was written lives in memory; Save() folds it in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace msearch::index {

using SegmentId = int64_t;

struct View {
  // What is scanned; results are always scored again with the float32 vectors. int8 (a scale per
  // vector) has an error of about 1 % of a vector's largest element, right for directions. bf16
  // (0.4 % of each element, twice the memory to read) is for views whose small elements count:
  // queried with kLog or divide_by_mean.
  enum class Codes : uint32_t { kInt8 = 1, kBf16 = 2 };

  std::string name;  // "semantic", "labels"
  uint32_t dimensions = 0;
  Codes codes = Codes::kInt8;
};

struct IndexOptions {
  std::string model_key;  // names model and preparation; a file of another key is refused (kStale)
  std::vector<View> views;  // in the order of the vectors handed to Add
};

// How one view of a query contributes: score = weight * z(transform(inner product)), where z
// standardises over all candidates when there's more than one view (a single view stays raw):
// z(x) = (x - mean) / standard deviation over the candidates that have the view, by their codes.
// A candidate without the view gets 0, the average; one without any of the query's views never
// matches. Where all candidates are equal z is 0.
struct ViewQuery {
  enum class Transform { kIdentity, kLog };
  uint32_t view = 0;
  std::vector<float> vector;
  Transform transform = Transform::kIdentity;  // kLog: log(max(x, 1e-12))
  float weight = 1.0F;
  // Divide each dimension of `vector` by that dimension's mean over the index first (open-1k's
  // label view: a label that every picture has says little). Meant for views without negative
  // elements: a dimension whose mean is below 1e-9 of the largest mean is left out.
  bool divide_by_mean = false;
};

struct Match {
  SegmentId segment = 0;
  float score = 0;  // fused; comparable within one search
  // The untransformed inner products, one for each ViewQuery in the query's order, in full
  // precision; 0 where the segment doesn't have the view.
  std::vector<float> by_view;
};

// Thread-safe: searches run in parallel with each other and with writers, each over the state of
// the moment it began. Neither waits for the other.
class VectorIndex {
 public:
  // Opens `path` if it exists and is whole; an absent file gives an empty index. kCorrupt when
  // it is damaged or cut, kStale when it belongs to another model key, other views or another
  // format version: the caller deletes it and rebuilds. The float32 vectors are not read here but
  // checked when they are first used, so that anything below that reads them may answer kCorrupt,
  // with the same consequence. One process at a time may have a path open.
  static Result<std::unique_ptr<VectorIndex>> Open(const std::string& path, IndexOptions options);
  virtual ~VectorIndex() = default;

  // Adds or replaces the segment's vectors, one per view, in the views' order and dimensions.
  // An empty span for a view means that the segment doesn't have it and never matches there.
  // kInvalid for a wrong dimension and for elements that are not finite or beyond 1e15.
  virtual Result<> Add(SegmentId segment, std::span<const std::span<const float>> views) = 0;
  // Gone from the next search on. Unknown ids are ignored.
  virtual void Remove(SegmentId segment) = 0;

  // The best `count` segments, best first, ties by id. Candidates are those for which `allowed`
  // (when given) is true; it is called by this thread only, at most once for a segment. Codes are
  // scanned, the best are scored again in full precision. kInvalid for an unknown view, no view
  // at all, a vector of the wrong dimension or one with elements as Add refuses them.
  virtual Result<std::vector<Match>> Search(
      std::span<const ViewQuery> query, size_t count,
      const std::function<bool(SegmentId)>& allowed = nullptr) const = 0;

  // As Search, over exactly `candidates` (for a selective filter and for scoring known segments).
  // Unknown and repeated ids are ignored.
  virtual Result<std::vector<Match>> SearchAmong(std::span<const ViewQuery> query, size_t count,
                                                 std::span<const SegmentId> candidates) const = 0;

  // The stored vector of one view in full precision; kNotFound.
  virtual Result<std::vector<float>> Get(SegmentId segment, uint32_t view) const = 0;

  virtual size_t size() const = 0;
  virtual std::vector<SegmentId> Segments() const = 0;
  // A number of the caller's that is stored with the file: how far in the catalog's change log
  // this index has come. 0 for an empty index.
  virtual uint64_t position() const = 0;
  virtual void set_position(uint64_t position) = 0;

  // Writes everything to the file, durably and atomically; searches go on meanwhile. Does
  // nothing when nothing changed. kExhausted when the disk is full: the old file stays. What is
  // added or removed while it runs waits for the next Save.
  virtual Result<> Save() = 0;

  // Reads the whole file and checks every byte of it; kCorrupt. Slow: gigabytes.
  virtual Result<> Verify() const = 0;
};

}  // namespace msearch::index
