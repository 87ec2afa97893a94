// WordNet's nouns, as far as image labels need them: which more general words stand above a label.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

class WordNet {
 public:
  // From the contents of index.noun and data.noun (WordNet's own text format, any 3.x); points into
  // `data`, which must outlive this. kCorrupt when there's no noun in them.
  static Result<WordNet> Open(std::string_view index, std::string_view data);

  // The more general words of each label, nearest first, without those that say nothing ("entity",
  // "object"); none for a label that WordNet doesn't know.
  //
  // REQUIRES: labels in the order of ImageNet's classes, which is the order of WordNet's nouns in
  // its file: that tells the crane that is a bird from the one that lifts.
  std::vector<std::vector<std::string>> GeneralWords(const std::vector<std::string>& labels) const;

 private:
  struct Noun {
    std::string word;
    std::vector<uint32_t> generals;
  };
  std::vector<uint32_t> Senses(std::string label) const;
  Noun ReadNoun(uint32_t offset) const;
  std::vector<std::string> Ancestors(uint32_t offset) const;

  std::string_view data_;
  std::unordered_map<std::string, std::vector<uint32_t>> senses_;
};

}  // namespace msearch::embedding
