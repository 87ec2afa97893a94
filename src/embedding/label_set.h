// What a classifier's classes mean: words, more general words, and sentence embeddings of them.
// Made once when a pack is converted, then kept in one file (docs/formats.md).
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/sentence_encoder.h"

namespace msearch::embedding {

struct LabelSet {
  struct Entry {
    std::string text;                   // "tabby cat"
    std::vector<std::string> generals;  // nearest first
  };
  std::vector<Entry> entries;
  size_t dimensions = 0;
  // Rows of `dimensions` floats of length 1, one row a label: "A tabby, a kind of cat, feline.",
  // and the mean of that sentence and "A tabby.".
  std::vector<float> general_sentences;
  std::vector<float> mean_sentences;

  std::span<const float> general(size_t label) const {
    return {general_sentences.data() + label * dimensions, dimensions};
  }
  std::span<const float> mean(size_t label) const {
    return {mean_sentences.data() + label * dimensions, dimensions};
  }
};

// Embeds the sentences of `entries`; `progress` hears how many labels are done.
Result<LabelSet> EmbedLabels(std::vector<LabelSet::Entry> entries, const SentenceEncoder& encoder,
                             const std::function<void(size_t)>& progress, std::stop_token stop);

Result<> SaveLabels(const LabelSet& labels, const std::string& path);
Result<LabelSet> LoadLabels(const std::string& path);

}  // namespace msearch::embedding
