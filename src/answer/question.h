// A question, read: what it asks for, and by which words its answer may be known. English and
// Chinese.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch::answer {

inline constexpr size_t kQuestionBytesMax = 2000;

// What kind of thing answers it, as far as the question says.
enum class Wants { kAnything, kPerson, kTime, kPlace, kNumber, kMoney, kLength, kReason };

// One thing that the question is about. Forms of one word ("leave", "left") are one term.
struct QueryTerm {
  std::vector<std::string> forms;    // as catalog::Terms gives them
  std::vector<std::string> phrases;  // to search for, as written
  // What is asked about a person ("who painted ...") counts more than of what.
  double weight = 1;
};

struct Question {
  std::string text;
  bool chinese = false;
  Wants wants = Wants::kAnything;
  bool wants_pictures = false;  // "which photo", "哪张图片"
  std::vector<QueryTerm> terms;
  std::string words;  // without what only asks, for a model
};

// kInvalid for an empty or oversized question, or one that isn't UTF-8.
Result<Question> ReadQuestion(std::string_view text);

// The forms under which a term may stand in a text: irregular English verbs know each other.
std::vector<std::string> FormsOf(const std::string& term);

}  // namespace msearch::answer
