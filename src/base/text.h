// Words of a text, for full-text indexing and for showing where something was found. Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace msearch {

// Bytes [begin, end) of the text that was split.
struct WordSpan {
  size_t begin = 0;
  size_t end = 0;
  // Written without spaces between words, or with particles attached: Chinese, Japanese, Korean.
  bool cjk = false;
};

// Maximal runs of letters, numbers and the marks on them; a change between CJK and other scripts
// begins a new word. Bytes that aren't UTF-8 separate words.
std::vector<WordSpan> SplitWords(std::string_view utf8);

// The characters of a CJK word: each with the marks that belong to it.
std::vector<std::string_view> SplitCharacters(std::string_view utf8);

// A word as it is compared: FoldCase, and the accents of Latin, Greek and Cyrillic letters dropped.
std::string FoldWord(std::string_view utf8);

// Cuts a name where a reader sees a new word though no separator stands there: between a small
// and a capital letter, and between a letter and a digit ("HolidayFrog2" gives "Holiday Frog 2").
std::string SeparateNameParts(std::string_view utf8);

}  // namespace msearch
