// Chinese words for models that read only English: each is replaced by what a dictionary says
// first. No translation, but enough for "红色的青蛙" to find red frogs. And what else it says:
// other English words for the same thing, and Chinese words that it explains by the same ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

bool HasChinese(std::string_view text);

// From CC-CEDICT as JSON, [{"simplified", "traditional", "pinyin", "english": []}], to the compact
// form that ChineseDictionary reads: sorted lines of word, tab, a few English words for it parted
// by
// "; ", the best first. kCorrupt otherwise.
Result<std::string> CompactChineseDictionary(std::string_view cedict_json);

// Thread-safe.
class ChineseDictionary {
 public:
  // Of the compact form; kCorrupt when it isn't sorted lines.
  static Result<ChineseDictionary> Parse(std::string text);
  static Result<ChineseDictionary> Load(const std::string& path);

  // The text with every Chinese word, found by longest match, in English; what isn't Chinese
  // stays, and Chinese that the dictionary doesn't know goes.
  std::string ToEnglish(std::string_view text) const;

  // Chinese text in words, by longest match; what isn't Chinese is left out.
  std::vector<std::string> Words(std::string_view text) const;
  // English for the word, the best first; empty when unknown. Views of the dictionary.
  std::vector<std::string_view> Glosses(std::string_view word) const;
  // For each of `words` the words of two characters that share one of its glosses, at most
  // `count`; what shares most, then what shares the better, comes first. Reads the whole
  // dictionary once: milliseconds.
  std::vector<std::vector<std::string>> Synonyms(const std::vector<std::string>& words,
                                                 size_t count) const;

 private:
  std::string_view Find(std::string_view word) const;  // all glosses; empty when unknown
  // How many characters from `at` on are one word; its glosses in `english`. 0: no word.
  size_t Longest(std::u32string_view points, size_t at, std::string_view* english) const;
  std::string_view LineAt(size_t line) const;

  std::string text_;
  std::vector<uint32_t> lines_;  // where each begins
};

}  // namespace msearch::embedding
