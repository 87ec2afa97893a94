// What a question may be answered from: segments that have any of its words, or its meaning, with
// all of their text. Unlike a search, it asks for no word to be there; how much evidence the
// passages hold, the reader decides.
#pragma once

#include <string>
#include <vector>

#include "search/search.h"

namespace msearch::search {

struct PassageQuery {
  std::string words;                 // the question without what only asks, for the model
  std::vector<std::string> phrases;  // each counts alone: a word, a pair of characters
  catalog::Filters filters;
  size_t limit = 24;  // at most kPassagesMax
};
inline constexpr size_t kPassagesMax = 100;
inline constexpr size_t kPassagePhrasesMax = 48;

struct Passage {
  catalog::SegmentInfo segment;
  std::string text;
  double words = 0;     // BM25 over the phrases
  double meaning = 0;   // the model's confidence, 0 to 1
  bool strong = false;  // by the model's own calibration
};

struct Passages {
  std::vector<Passage> passages;  // best first
  std::vector<double> rarity;     // of each phrase, see Catalog::SearchAny
  std::string notice;             // what was left out and why
};

// Thread-safe. kInvalid for an empty or oversized query.
Result<Passages> FindPassages(const catalog::Catalog& catalog, const std::optional<Engine>& engine,
                              const PassageQuery& query);

}  // namespace msearch::search
