// Text of unknown origin: encodings, passages, words.

#include "base/legacy_text.h"
#include "base/strings.h"
#include "base/text.h"
#include "catalog/words.h"
#include "media/document.h"
#include "targets.h"

namespace msearch::fuzz {
namespace {

void Encoding(std::string_view bytes) {
  const size_t named = std::min<size_t>(bytes.size(), 12);
  (void)DecodeText(bytes);
  (void)DecodeText(bytes.substr(named), bytes.substr(0, named));
}

// What a cut may not do is checked, too.
void Passages(std::string_view bytes) {
  const std::string text = SanitizeUtf8(bytes);
  for (const std::string& passage : media::CutPassages(text, 7)) {
    if (passage.empty() || CountWords(passage) > 7 || !IsUtf8(passage)) __builtin_trap();
  }
  if (!IsUtf8(RepairMisread(text))) __builtin_trap();
}

void Query(std::string_view bytes) {
  const std::string text = SanitizeUtf8(bytes);
  const catalog::TextQuery query = catalog::ParseTextQuery(text);
  if (!IsUtf8(catalog::Snippet(query, text))) __builtin_trap();
}

std::vector<std::string> Texts() {
  return {"One. Two! 图书馆里有一只青蛙。これは写真です。", "cafÃ© å›¾ä¹¦é¦†",
          "\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7", std::string("h\0e\0l\0l\0o\0", 10),
          "\xEF\xBB\xBFmark"};
}
std::vector<std::string> Queries() { return {"\"a phrase\" of words 青蛙 pre", "the of"}; }

}  // namespace

std::vector<Target> TextTargets() {
  return {{"encoding", Encoding, Texts}, {"passages", Passages, Texts}, {"query", Query, Queries}};
}

}  // namespace msearch::fuzz
