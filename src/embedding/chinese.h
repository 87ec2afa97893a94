// Chinese words for models that read only English: each is replaced by what a dictionary says
// first. No translation, but enough for "红色的青蛙" to find red frogs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

bool HasChinese(std::string_view text);

// From CC-CEDICT as JSON, [{"simplified", "traditional", "pinyin", "english": []}], to the compact
// form that ChineseDictionary reads: sorted lines of word, tab, English. kCorrupt otherwise.
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

 private:
  std::string_view Find(std::string_view word) const;  // empty when unknown
  std::string_view LineAt(size_t line) const;

  std::string text_;
  std::vector<uint32_t> lines_;  // where each begins
};

}  // namespace msearch::embedding
