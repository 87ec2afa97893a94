// Thumbnails: DIRECTORY/ab/HASH.jpg, by the content's SHA-256, and beside them the strips of films,
// HASH.strip.jpg. A cache: what is missing is made
// again when it's asked for, what belongs to no content goes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/digest.h"
#include "base/result.h"

namespace msearch::ingest {

// Thread-safe, but for Sweep: one call at a time.
class Thumbnails {
 public:
  explicit Thumbnails(std::string directory) : directory_(std::move(directory)) {}

  std::string PathOf(const Digest& hash) const;
  Result<> Store(const Digest& hash, std::string_view jpeg) const;
  std::string StripPathOf(const Digest& hash) const;
  Result<> StoreStrip(const Digest& hash, std::string_view jpeg) const;
  // One of the 256 folders, another one with each call: removes the files that aren't named by a
  // content that is known and were made at least `age` ago (a commit may be under way). Returns how
  // many.
  Result<int> Sweep(const std::function<Result<bool>(const Digest&)>& known, Milliseconds age);

 private:
  const std::string directory_;
  unsigned next_ = 0;
};

}  // namespace msearch::ingest
