#include "base/legacy_text.h"

#include <unicode/ubrk.h>
#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>
#include <unicode/ustring.h>
#include <unicode/utext.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <tuple>

#include "base/strings.h"
#include "base/unicode.h"

namespace msearch {
namespace {

// Windows-1252's characters for the bytes 0x80 to 0x9F; 0 where it has none, and Latin-1's control
// characters stand there.
constexpr std::array<char32_t, 32> kWindows1252 = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

// The byte that reading as Latin-1 or Windows-1252 would have turned into this character.
std::optional<char> MisreadByte(char32_t point) {
  if (point >= 0x80 && point <= 0xFF) return static_cast<char>(point);
  const auto at = std::find(kWindows1252.begin(), kWindows1252.end(), point);
  if (point == 0 || at == kWindows1252.end()) return std::nullopt;
  return static_cast<char>(0x80 + (at - kWindows1252.begin()));
}

// The bytes of one UTF-8 character that these code points, from the first one on, may have been
// before they were read wrongly; empty if they weren't. Only first bytes of scripts in use.
std::string MisreadCharacter(std::u32string_view points) {
  std::string bytes;
  for (char32_t point : points.substr(0, 4)) {
    const auto byte = MisreadByte(point);
    if (!byte) break;
    const auto value = static_cast<uint8_t>(*byte);
    if (bytes.empty()) {
      const bool in_use = value == 0xC2 || value == 0xC3 || (value >= 0xCE && value <= 0xDB) ||
                          (value >= 0xE0 && value <= 0xF0);
      if (!in_use) return "";
    } else if (value >= 0xC0) {
      break;
    }
    bytes += *byte;
    if (bytes.size() > 1 && IsUtf8(bytes)) return bytes;
  }
  return "";
}

std::string WithPlainLineEnds(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 >= text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

bool LooksBinary(std::string_view text) {
  size_t control = 0;
  for (unsigned char c : text) {
    if (c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1B) ++control;
  }
  return control * 200 > text.size();
}

// Nothing when the bytes aren't valid in that encoding.
std::optional<std::string> Convert(std::string_view bytes, const char* encoding) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, decltype(&ucnv_close)> converter(ucnv_open(encoding, &status),
                                                                     ucnv_close);
  if (U_FAILURE(status)) return std::nullopt;
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &status);
  std::u16string wide(bytes.size() + 16, u'\0');
  int32_t size = ucnv_toUChars(converter.get(), wide.data(), static_cast<int32_t>(wide.size()),
                               bytes.data(), static_cast<int32_t>(bytes.size()), &status);
  if (U_FAILURE(status) || static_cast<size_t>(size) > wide.size()) return std::nullopt;
  std::string utf8(static_cast<size_t>(size) * 3, '\0');
  u_strToUTF8(utf8.data(), static_cast<int32_t>(utf8.size()), &size, wide.data(), size, &status);
  if (U_FAILURE(status)) return std::nullopt;
  utf8.resize(static_cast<size_t>(size));
  return utf8;
}

// Shares of a UTF-16 text's units by what their higher byte says, for one order of bytes.
struct Utf16Look {
  size_t latin = 0;     // higher byte zero
  size_t in_use = 0;    // a higher byte of scripts in use
  size_t controls = 0;  // lower bytes that no text of single bytes has

  Utf16Look(std::string_view bytes, size_t high) {
    for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
      const auto upper = static_cast<uint8_t>(bytes[i + high]);
      const auto lower = static_cast<uint8_t>(bytes[i + 1 - high]);
      if (upper == 0) ++latin;
      if (upper <= 0x06 || upper == 0x20 || upper == 0x30 || (upper >= 0x4E && upper <= 0x9F) ||
          (upper >= 0xAC && upper <= 0xD7) || upper == 0xFF) {
        ++in_use;
      }
      if (upper != 0 && lower < 0x20 && lower != '\t' && lower != '\n' && lower != '\r') ++controls;
    }
  }
};

// Latin text has a zero in every unit. In Chinese, Japanese and Korean text the higher bytes lie
// within a few blocks while the lower ones are anything, control characters among them, which no
// other encoding of text has.
const char* Utf16WithoutMark(std::string_view bytes) {
  const size_t units = bytes.size() / 2;
  if (units == 0 || bytes.size() % 2 != 0) return nullptr;
  const Utf16Look little(bytes, 1);
  const Utf16Look big(bytes, 0);
  if (little.latin * 4 > units && big.latin * 50 < units) return "UTF-16LE";
  if (big.latin * 4 > units && little.latin * 50 < units) return "UTF-16BE";
  const bool may_be_little = little.in_use * 20 > units * 19 && little.controls * 100 > units * 3;
  const bool may_be_big = big.in_use * 20 > units * 19 && big.controls * 100 > units * 3;
  if (may_be_little && little.in_use > big.in_use) return "UTF-16LE";
  if (may_be_big && big.in_use > little.in_use) return "UTF-16BE";
  return nullptr;
}

// A rare character of GB 18030: byte and digit by turns.
bool FourBytesAt(std::string_view bytes, size_t at) {
  if (at + 4 > bytes.size()) return false;
  const auto high = [&](size_t i) { return static_cast<uint8_t>(bytes[i]) > 0x80; };
  const auto digit = [&](size_t i) { return bytes[i] >= '0' && bytes[i] <= '9'; };
  return high(at) && digit(at + 1) && high(at + 2) && digit(at + 3);
}

// In the double-byte encodings of Chinese, Japanese and Korean the bytes above 127 come in pairs
// nearly everywhere; in European ones a letter with an accent mostly stands alone.
bool HighBytesComeInPairs(std::string_view bytes) {
  size_t even = 0;
  size_t odd = 0;
  for (size_t i = 0; i < bytes.size();) {
    size_t run = 0;
    while (i + run < bytes.size() && static_cast<unsigned char>(bytes[i + run]) >= 0x80 &&
           !FourBytesAt(bytes, i + run)) {
      ++run;
    }
    if (run == 0 && FourBytesAt(bytes, i)) {
      ++even;
      i += 4;
      continue;
    }
    if (run > 0) (run % 2 == 0 ? even : odd) += 1;
    i += run + (FourBytesAt(bytes, i + run) ? 0 : 1);
  }
  return even > 0 && odd * 10 <= even;
}

bool IsMultiByte(std::string_view encoding) {
  return encoding == "GB18030" || encoding == "Big5" || encoding == "Shift_JIS" ||
         encoding.starts_with("EUC-") || encoding.starts_with("ISO-2022-");
}

// Of encodings that the detector finds equally likely, as it does for short texts.
constexpr std::array<std::string_view, 5> kPreferred = {"GB18030", "Big5", "Shift_JIS", "EUC-JP",
                                                        "EUC-KR"};

// Nearly all of a simplified Chinese text is within GB 2312, where both bytes are above 0xA0. The
// wide rest of GB 18030 takes any bytes, so that what only it can read is mostly something else.
bool IsMostlyGb2312(std::string_view bytes) {
  size_t common = 0;
  size_t rare = 0;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    const auto lead = static_cast<uint8_t>(bytes[i]);
    if (lead < 0x80) continue;
    if (FourBytesAt(bytes, i)) {
      ++common;
      i += 3;
      continue;
    }
    const auto trail = static_cast<uint8_t>(bytes[++i]);
    ++(lead > 0xA0 && trail > 0xA0 ? common : rare);
  }
  return common >= rare * 4;
}

struct Guess {
  std::string encoding;
  int confidence = 0;  // 0 to 100

  auto Rank(bool multi_byte_first) const {
    const auto preferred = std::find(kPreferred.begin(), kPreferred.end(), encoding);
    return std::tuple(multi_byte_first && !IsMultiByte(encoding), -confidence, preferred);
  }
};

// Best first.
std::vector<Guess> Guesses(std::string_view bytes) {
  std::vector<Guess> guesses;
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)> detector(ucsdet_open(&status),
                                                                            ucsdet_close);
  if (U_FAILURE(status)) return guesses;
  ucsdet_setText(detector.get(), bytes.data(),
                 static_cast<int32_t>(std::min<size_t>(bytes.size(), 1 << 20)), &status);
  int32_t count = 0;
  const UCharsetMatch** matches = ucsdet_detectAll(detector.get(), &count, &status);
  for (int32_t i = 0; U_SUCCESS(status) && i < count; ++i) {
    std::string name = ucsdet_getName(matches[i], &status);
    if (name == "UTF-8" || name.starts_with("UTF-16") || name.starts_with("UTF-32")) continue;
    if (name == "ISO-8859-1") name = "windows-1252";
    guesses.push_back({std::move(name), ucsdet_getConfidence(matches[i], &status)});
  }
  guesses.push_back({"windows-1252", 1});
  for (std::string_view name : kPreferred) guesses.push_back({std::string(name), 0});
  const bool pairs = HighBytesComeInPairs(bytes);
  std::stable_sort(guesses.begin(), guesses.end(),
                   [&](const Guess& a, const Guess& b) { return a.Rank(pairs) < b.Rank(pairs); });
  return guesses;
}

// Whether somebody may have written this: wrong guesses give control characters beyond ASCII,
// characters of private use, or the half-width katakana of old terminals.
bool IsPlausible(std::string_view utf8) {
  size_t odd = 0;
  size_t foreign = 0;
  for (char32_t point : ToCodePoints(utf8)) {
    if (point < 0x80) continue;
    ++foreign;
    if (point < 0xA0 || IsControlPoint(point) || (point >= 0xFF61 && point <= 0xFF9F)) ++odd;
  }
  return odd * 10 <= foreign;
}

// As browsers do: what calls itself by the older, smaller encoding is mostly written in the wider.
std::string Widened(std::string_view declared) {
  const std::string name = AsciiLower(declared.substr(0, 40));
  if (name == "gb2312" || name == "gbk" || name == "x-gbk") return "GB18030";
  if (name == "iso-8859-1" || name == "latin1" || name == "us-ascii") return "windows-1252";
  if (name == "shift_jis" || name == "shift-jis" || name == "x-sjis") return "windows-31j";
  if (name.starts_with("utf")) return "";
  return name;
}

Result<DecodedText> Finished(const std::string& utf8, std::string encoding) {
  DecodedText out;
  out.utf8 = WithPlainLineEnds(utf8);
  out.encoding = std::move(encoding);
  if (LooksBinary(out.utf8)) return Error{Code::kUnsupported, "file: not text"};
  std::string repaired = RepairMisread(out.utf8);
  out.repaired = repaired != out.utf8;
  if (out.repaired) out.utf8 = std::move(repaired);
  return out;
}

bool CountsAlone(char32_t point) {
  return IsHanPoint(point) || (point >= 0x3041 && point <= 0x30FF) ||
         (point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xFF66 && point <= 0xFF9D);
}

// Where the word counted as number `words` + 1 begins; nothing when there are no more than `words`.
// `counted`: how many there are before that.
std::optional<size_t> FindWord(std::string_view utf8, uint32_t words, uint32_t& counted) {
  counted = 0;
  bool inside = false;
  for (size_t at = 0; at < utf8.size();) {
    size_t size = 1;
    while (at + size < utf8.size() && (static_cast<unsigned char>(utf8[at + size]) & 0xC0) == 0x80)
      ++size;
    const std::u32string points = ToCodePoints(utf8.substr(at, size));
    const char32_t point = points.empty() ? U' ' : points[0];
    const bool alone = CountsAlone(point);
    const bool part = IsLetterPoint(point) || IsNumberPoint(point) || IsMarkPoint(point) ||
                      point == U'\'' || point == 0x2019;
    if (alone || (part && !inside)) {
      if (counted == words) return at;
      ++counted;
    }
    inside = part && !alone;
    at += size;
  }
  return std::nullopt;
}

// The text after the byte order mark, if there is one.
std::optional<Result<DecodedText>> DecodeMarked(std::string_view bytes) {
  struct Mark {
    std::string_view bytes;
    const char* encoding;
  };
  using namespace std::literals;
  for (const Mark& mark : {Mark{"\xEF\xBB\xBF"sv, "UTF-8"}, Mark{"\xFF\xFE\0\0"sv, "UTF-32LE"},
                           Mark{"\0\0\xFE\xFF"sv, "UTF-32BE"}, Mark{"\xFF\xFE"sv, "UTF-16LE"},
                           Mark{"\xFE\xFF"sv, "UTF-16BE"}}) {
    if (!bytes.starts_with(mark.bytes)) continue;
    const std::string_view rest = bytes.substr(mark.bytes.size());
    if (auto text = Convert(rest, mark.encoding)) return Finished(*text, mark.encoding);
    return Finished(SanitizeUtf8(rest), "UTF-8");
  }
  return std::nullopt;
}

}  // namespace

std::string RepairMisread(std::string_view utf8) {
  const std::u32string points = ToCodePoints(utf8);
  std::string out;
  out.reserve(utf8.size());
  size_t evidence = 0;
  size_t kept = 0;
  for (size_t at = 0; at < points.size();) {
    const std::string bytes =
        points[at] < 0x80 ? "" : MisreadCharacter(std::u32string_view(points).substr(at));
    if (bytes.empty()) {
      if (points[at] >= 0x80) ++kept;
      AppendUtf8(out, points[at++]);
      continue;
    }
    // Two odd letters side by side may be chance; three are none.
    evidence += bytes.size() - 1;
    out += bytes;
    at += bytes.size();
  }
  return evidence >= 2 && evidence >= kept ? out : std::string(utf8);
}

std::string DecodeTextAs(std::string_view bytes, const char* encoding) {
  if (auto text = Convert(bytes, encoding)) return *text;
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, decltype(&ucnv_close)> converter(ucnv_open(encoding, &status),
                                                                     ucnv_close);
  if (U_FAILURE(status)) return SanitizeUtf8(bytes);
  std::u16string wide(bytes.size() * 2 + 16, u'\0');
  const int32_t size =
      ucnv_toUChars(converter.get(), wide.data(), static_cast<int32_t>(wide.size()), bytes.data(),
                    static_cast<int32_t>(bytes.size()), &status);
  if (U_FAILURE(status) || static_cast<size_t>(size) > wide.size()) return SanitizeUtf8(bytes);
  // What ICU puts in for single bytes.
  std::replace(wide.begin(), wide.begin() + size, u'\x1A', u'\xFFFD');
  std::string utf8(static_cast<size_t>(size) * 3 + 1, '\0');
  int32_t length = 0;
  u_strToUTF8WithSub(utf8.data(), static_cast<int32_t>(utf8.size()), &length, wide.data(), size,
                     0xFFFD, nullptr, &status);
  if (U_FAILURE(status)) return SanitizeUtf8(bytes);
  utf8.resize(static_cast<size_t>(length));
  return utf8;
}

Result<DecodedText> DecodeText(std::string_view bytes, std::string_view declared) {
  if (auto marked = DecodeMarked(bytes)) return std::move(*marked);
  if (const char* encoding = Utf16WithoutMark(bytes)) {
    if (auto text = Convert(bytes, encoding)) return Finished(*text, encoding);
  }
  if (IsUtf8(bytes)) return Finished(std::string(bytes), "UTF-8");
  if (LooksBinary(bytes)) return Error{Code::kUnsupported, "file: not text"};
  if (const std::string encoding = Widened(declared); !encoding.empty()) {
    const auto text = Convert(bytes, encoding.c_str());
    if (text && IsPlausible(*text)) return Finished(*text, encoding);
  }
  for (const Guess& guess : Guesses(bytes)) {
    if (guess.encoding == "GB18030" && !IsMostlyGb2312(bytes)) continue;
    const auto text = Convert(bytes, guess.encoding.c_str());
    if (text && IsPlausible(*text)) return Finished(*text, guess.encoding);
  }
  for (const char* encoding : {"GB18030", "windows-1252"}) {
    if (const auto text = Convert(bytes, encoding)) return Finished(*text, encoding);
  }
  return Finished(SanitizeUtf8(bytes), "UTF-8");
}

uint32_t CountWords(std::string_view utf8) {
  uint32_t counted = 0;
  FindWord(utf8, UINT32_MAX, counted);
  return counted;
}

size_t PrefixOfWords(std::string_view utf8, uint32_t words) {
  uint32_t counted = 0;
  return FindWord(utf8, words, counted).value_or(utf8.size());
}

std::vector<std::string_view> SplitSentences(std::string_view utf8) {
  std::vector<std::string_view> sentences;
  UErrorCode status = U_ZERO_ERROR;
  UText text = UTEXT_INITIALIZER;
  utext_openUTF8(&text, utf8.data(), static_cast<int64_t>(utf8.size()), &status);
  const std::unique_ptr<UBreakIterator, decltype(&ubrk_close)> breaks(
      ubrk_open(UBRK_SENTENCE, "", nullptr, 0, &status), ubrk_close);
  ubrk_setUText(breaks.get(), &text, &status);
  if (U_SUCCESS(status)) {
    int32_t begin = ubrk_first(breaks.get());
    for (int32_t end = ubrk_next(breaks.get()); end != UBRK_DONE; end = ubrk_next(breaks.get())) {
      sentences.push_back(
          utf8.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
      begin = end;
    }
  } else if (!utf8.empty()) {
    sentences.push_back(utf8);
  }
  utext_close(&text);
  return sentences;
}

}  // namespace msearch
