#include "base/text.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "base/strings.h"

namespace msearch {
namespace {

enum class Kind { kSeparator, kWord, kCjk, kMark };

// Sound and iteration marks that several scripts share, so that their script property says nothing.
bool IsSharedCjk(UChar32 point) {
  return point == 0x30FC || point == 0xFF70 || point == 0x3006 || point == 0x303B;
}
// The half-width voicing marks: letters by category, but they belong to the letter before.
bool IsHalfWidthMark(UChar32 point) { return point == 0xFF9E || point == 0xFF9F; }

bool IsCjk(UChar32 point) {
  if (point < 0x1100) return false;
  UErrorCode status = U_ZERO_ERROR;
  switch (uscript_getScript(point, &status)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_HANGUL:
    case USCRIPT_BOPOMOFO:
      return true;
    default:
      return IsSharedCjk(point);
  }
}

Kind KindOf(UChar32 point) {
  if (point < 0) return Kind::kSeparator;
  if (point < 0x80) return u_isalnum(point) ? Kind::kWord : Kind::kSeparator;
  if (IsHalfWidthMark(point)) return Kind::kMark;
  const uint32_t category = U_MASK(u_charType(point));
  if (category & U_GC_M_MASK) return Kind::kMark;
  if (category & (U_GC_L_MASK | U_GC_N_MASK)) return IsCjk(point) ? Kind::kCjk : Kind::kWord;
  return Kind::kSeparator;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

// Calls `each(begin, end, point)`; an invalid sequence gives a negative point.
template <typename Each>
void ForEachPoint(std::string_view utf8, Each&& each) {
  const auto size = static_cast<int32_t>(utf8.size());
  int32_t at = 0;
  while (at < size) {
    const int32_t begin = at;
    UChar32 point = 0;
    U8_NEXT(utf8.data(), at, size, point);
    each(static_cast<size_t>(begin), static_cast<size_t>(at), point);
  }
}

}  // namespace

std::vector<WordSpan> SplitWords(std::string_view utf8) {
  std::vector<WordSpan> words;
  bool open = false;
  ForEachPoint(utf8, [&](size_t begin, size_t end, UChar32 point) {
    const Kind kind = KindOf(point);
    if (kind == Kind::kSeparator || (kind == Kind::kMark && !open)) {
      open = false;
      return;
    }
    const bool cjk = kind == Kind::kCjk;
    if (open && (kind == Kind::kMark || words.back().cjk == cjk)) {
      words.back().end = end;
    } else {
      words.push_back({begin, end, cjk});
      open = true;
    }
  });
  return words;
}

std::vector<std::string_view> SplitCharacters(std::string_view utf8) {
  std::vector<std::string_view> characters;
  ForEachPoint(utf8, [&](size_t begin, size_t end, UChar32 point) {
    if (KindOf(point) == Kind::kMark && !characters.empty()) {
      const size_t start = static_cast<size_t>(characters.back().data() - utf8.data());
      characters.back() = utf8.substr(start, end - start);
    } else {
      characters.push_back(utf8.substr(begin, end - begin));
    }
  });
  return characters;
}

std::string FoldWord(std::string_view utf8) {
  if (IsAscii(utf8)) return AsciiLower(utf8);
  const std::string folded = FoldCase(utf8);
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* decomposer = icu::Normalizer2::getNFDInstance(status);
  const icu::Normalizer2* composer = icu::Normalizer2::getNFCInstance(status);
  if (U_FAILURE(status)) return folded;
  const icu::UnicodeString apart =
      decomposer->normalize(icu::UnicodeString::fromUTF8(icu::StringPiece(
                                folded.data(), static_cast<int32_t>(folded.size()))),
                            status);
  icu::UnicodeString plain;
  for (int32_t i = 0; i < apart.length(); ++i) {
    const char16_t unit = apart[i];
    if (unit < 0x0300 || unit > 0x036F) plain.append(unit);
  }
  std::string out;
  composer->normalize(plain, status).toUTF8String(out);
  return U_SUCCESS(status) ? out : folded;
}

std::string SeparateNameParts(std::string_view utf8) {
  std::string out;
  UChar32 before = ' ';
  ForEachPoint(utf8, [&](size_t begin, size_t end, UChar32 point) {
    const bool capital = point >= 0 && u_isupper(point) && before >= 0 && u_islower(before);
    const bool digit =
        point >= 0 && before >= 0 &&
        ((u_isdigit(point) && u_isalpha(before)) || (u_isalpha(point) && u_isdigit(before)));
    if (capital || digit) out += ' ';
    out.append(utf8.substr(begin, end - begin));
    before = point;
  });
  return out;
}

}  // namespace msearch
