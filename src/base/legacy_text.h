// Text files of unknown origin: from their bytes to UTF-8, and to words and sentences that can be
// counted and cut in any language. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch {

struct DecodedText {
  std::string utf8;       // valid, lines ending in "\n", without a byte order mark
  std::string encoding;   // what it was taken for: "UTF-8", "UTF-16LE", "GB18030", ...
  bool repaired = false;  // it was UTF-8 that had been read as Latin-1 and written again
};

// Finds out the encoding: by byte order mark, else UTF-16 by the bytes that only it has, else UTF-8
// if valid, else `declared`, what the file says about itself, if it is valid in that, else the best
// guess among the encodings of old. kUnsupported: the bytes aren't text.
Result<DecodedText> DecodeText(std::string_view bytes, std::string_view declared = {});

// From an encoding that is known, by a name of it; bytes that aren't valid in it become replacement
// characters, and an unknown name leaves ASCII.
std::string DecodeTextAs(std::string_view bytes, const char* encoding);

// Undoes "å›¾" for "图": UTF-8 that had been read as Latin-1 or Windows-1252. Text that wasn't
// spoilt that way comes back as it is.
std::string RepairMisread(std::string_view utf8);

// Words as a reader counts them; a character of Chinese, Japanese or Korean counts as one.
uint32_t CountWords(std::string_view utf8);

// The sentences, in order and without gaps: joined they are the text. White space after a sentence
// belongs to it.
std::vector<std::string_view> SplitSentences(std::string_view utf8);

// How many bytes at the beginning of `utf8` hold at most `words` words; a cut there is no worse
// than between two words. All of it, if it has no more.
size_t PrefixOfWords(std::string_view utf8, uint32_t words);

}  // namespace msearch
