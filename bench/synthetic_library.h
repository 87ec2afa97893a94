// A library of random pictures and passages in a catalog, for measuring searches.
#pragma once

#include <random>
#include <string>

#include "base/result.h"
#include "catalog/catalog.h"
#include "embedding/embedder.h"
#include "embedding/label_set.h"

namespace msearch::bench {

// Nine in ten segments are pictures with random vectors of open-1k's views and one to three of its
// labels with their more general words; the rest are passages of a hundred labels. The same for the
// same arguments, but for what the model's key is.
class SyntheticLibrary {
 public:
  SyntheticLibrary(embedding::ModelInfo info, embedding::LabelSet labels)
      : info_(std::move(info)), labels_(std::move(labels)) {}

  // Writes the catalog of a new data folder, with one root "library", paused, so that its files
  // needn't exist. `root`: any existing folder.
  Result<> Write(const std::string& data, const std::string& root, int segments);

 private:
  catalog::MediaContent Content(const catalog::FileFact& fact);
  catalog::Segment Picture();
  catalog::Segment Passage();

  const embedding::ModelInfo info_;
  const embedding::LabelSet labels_;
  std::mt19937_64 random_{1};
};

}  // namespace msearch::bench
