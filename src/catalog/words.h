// What counts as a word in names, labels and texts, and how queries are read. Of our own rather
// than the database's, so that every back end finds the same.
//
// A text is indexed as terms separated by spaces: letters and digits only, so that any full-text
// engine keeps them as they are. Words of most scripts are folded (case, width, accents) and
// stripped of English inflection ("Frogs" and "frog" are one term). A run of Chinese, Japanese or
// Korean characters becomes its overlapping pairs and its last character alone: 小青蛙 is
// "小青 青蛙 蛙". Hence a sequence of two or more characters is found as a phrase of pairs, and a
// single one as a prefix.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace msearch::catalog {

struct Term {
  std::string text;
  size_t begin = 0;  // bytes [begin, end) of the original
  size_t end = 0;
};

std::vector<Term> Terms(std::string_view text);

// The terms, separated by spaces.
std::string IndexText(std::string_view text);
// For file names: also the parts of "HolidayFrog2.jpg".
std::string IndexName(std::string_view name);

// Consecutive terms. When `prefix` isn't empty, the last one may also be any term that begins
// with it.
struct Phrase {
  std::vector<std::string> terms;
  std::string prefix;
};

// All phrases must occur, anywhere.
struct TextQuery {
  std::vector<Phrase> phrases;
  bool empty() const { return phrases.empty(); }
};

// "..." quotes a phrase; the last word outside of quotes is a prefix; words that only connect
// ("the", "of") needn't occur unless there is nothing else. Bounded: further words are ignored.
TextQuery ParseTextQuery(std::string_view words);

// Whether the phrase occurs in a text that was indexed (terms separated by spaces).
bool Occurs(const Phrase& phrase, std::string_view indexed);

// About `bytes_max` bytes of the text around the words of the query, on one line, with an
// ellipsis where it was cut; empty when none of them occurs.
std::string Snippet(const TextQuery& query, std::string_view text, size_t bytes_max = 200);

}  // namespace msearch::catalog
