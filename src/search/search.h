// From a query to ranked hits: words and pictures become probes of the vector index and a search
// of the full text; what these find is fused, calibrated, filtered and grouped by media file.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "embedding/embedder.h"
#include "index/fingerprint_index.h"
#include "index/vector_index.h"

namespace msearch::search {

// What to search with: the model's index, and an embedder for queries of that same model.
struct Engine {
  embedding::ModelInfo model;
  std::shared_ptr<const index::VectorIndex> index;
  std::shared_ptr<embedding::Embedder> embedder;
  std::shared_ptr<std::mutex> embedder_mutex;  // an embedder takes one call at a time
};

// What is known of the library's sounds, whatever the model. May be empty.
struct Sounds {
  std::shared_ptr<const index::VectorIndex> alike;
  std::shared_ptr<const index::FingerprintIndex> recordings;
};

// A sound to search with.
struct SoundQuery {
  std::vector<uint32_t> fingerprint;  // items of index::FingerprintIndex
  double item_seconds = 1365.0 / 11025;
  std::vector<std::vector<float>> windows;  // their numbers; empty where nothing can be heard
};

struct Query {
  std::string words;
  // One of the two: pixels as the model's ImageInputSpec wants them, or a media file of the
  // library.
  std::optional<std::string> picture;
  std::optional<catalog::MediaId> like;
  std::optional<SoundQuery> sound;
  catalog::Filters filters;
  size_t limit = 20;  // media files; at most kLimitMax
  size_t offset = 0;
};
inline constexpr size_t kLimitMax = 1000;
inline constexpr size_t kDepthMax = 5000;  // offset + limit
inline constexpr size_t kWordsBytesMax = 2000;

struct Reason {
  std::string kind;  // "name", "path", "label", "text", "pictures", "passages", "similar",
                     // "same_recording", "sounds_alike"
  std::string text;  // for people
};

struct Hit {
  catalog::SegmentInfo segment;
  double score = 0;  // 0..1, falling within an answer
  bool strong = false;
  std::vector<Reason> reasons;
  // Of text in pictures: where the words of the query stand, or all of it.
  std::vector<catalog::TextBox> boxes;
};

struct Answer {
  std::vector<Hit> hits;        // hits of one media file stand together, in order of time or page
  int64_t total = 0;            // media files that aren't weak
  bool total_is_bound = false;  // there may be more than `total`
  bool nothing_fits = false;
  std::string notice;  // what was left out and why: "words: this model answers pictures only"
};

// Thread-safe. kInvalid for an empty or oversized query, kNotFound for an unknown media file,
// kUnavailable when there's neither model nor words.
Result<Answer> Search(const catalog::Catalog& catalog, const std::optional<Engine>& engine,
                      const Sounds& sounds, const Query& query);

}  // namespace msearch::search
