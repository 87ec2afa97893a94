// Kinds of things that questions ask for, and where a text has one. By rules, in English and
// Chinese; where nobody can tell, a text has it.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace msearch::answer {

enum class Wants {
  kAnything,
  kPerson,
  kTime,
  kPlace,
  kNumber,
  kMoney,
  kLength,
  kDuration,
  kExtent,  // "how long", which asks for a length or a duration
  kFrequency,
  kTemperature,
  kWeight,
  kAge,
  kSpeed,
  kColour,
  kReason,
};

// By the first asking word that decides; folded words in their order.
Wants EnglishWants(const std::vector<std::string>& words);
Wants ChineseWants(std::string_view text);

// Whether a word of the question says only what kind of thing is asked for ("cost",
// "tall"), so that a text with such a thing needn't have the word.
bool NamesKind(Wants wants, const std::string& word);

// Whether a folded word, English or Chinese, says that something opens or closes; and whether the
// text has hours, from one time of day to another, which say when: "6 am to 10 pm", "八点到九点".
bool NamesHours(const std::string& word);
bool HasHours(std::string_view text);

// Whether the text, whose terms these are (catalog::Terms), has such a thing. For persons see
// HasName.
bool HasKind(Wants wants, std::string_view text, const std::set<std::string>& terms);

}  // namespace msearch::answer
