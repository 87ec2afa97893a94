// A question, read: what it asks for, and by which words its answer may be known. English and
// Chinese.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "answer/wanted.h"
#include "base/result.h"
#include "embedding/chinese.h"

namespace msearch::answer {

inline constexpr size_t kQuestionBytesMax = 2000;

// One thing that the question is about. Forms of one word ("leave", "left") are one term.
struct QueryTerm {
  std::vector<std::string> forms;    // as catalog::Terms gives them
  std::vector<std::string> phrases;  // to search for, as written
  double weight = 1;
  // What is asked ("who painted ...", "the telephone number of ..."), rather than of what. Counts
  // more.
  bool asked = false;
  // Says only what kind of thing is asked for: what has such a thing needn't have the word.
  bool kind = false;
  // Says that something opens or closes: what has hours, from one time to another, says so, too.
  bool hours = false;
  // Chinese: characters that follow each other without a space; pairs of one run overlap. 0: none.
  int run = 0;
  // Of Chinese, what a dictionary adds (AddMeanings): words of two characters for the same thing,
  // and the stems of each of its English words.
  std::vector<std::string> synonyms;
  std::vector<std::vector<std::string>> english;
  bool seam = false;  // the pair is the end of one word and the beginning of the next
};

struct Question {
  std::string text;
  bool chinese = false;
  Wants wants = Wants::kAnything;  // what kind of thing answers it, as far as the question says
  bool wants_pictures = false;     // "which photo", "哪张图片"
  std::vector<QueryTerm> terms;
  std::string words;  // without what only asks, for a model
};

// kInvalid for an empty or oversized question, or one that isn't UTF-8.
Result<Question> ReadQuestion(std::string_view text);

// Gives Chinese terms what the dictionary says of the words that they stand in. Others stay.
void AddMeanings(const embedding::ChineseDictionary& dictionary, Question* question);

// The forms under which a term may stand in a text: irregular English verbs know each other.
std::vector<std::string> FormsOf(const std::string& term);

}  // namespace msearch::answer
