#include "embedding/chinese.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/unicode.h"

// A dictionary has several entries for one word: surnames, variants of rarer characters, slang.
// The entry that is taken has a measure word (it is a thing), is no name, and explains most; of it
// the first explanations count, without remarks in parentheses.

namespace msearch::embedding {
namespace {

constexpr size_t kWordPointsMax = 8;
constexpr size_t kGlossBytesMax = 48;
constexpr size_t kGlossesMax = 4;
constexpr std::string_view kBetween = "; ";
constexpr uint64_t kFileBytesMax = 64 << 20;

// Particles and measure words: they carry grammar, no picture.
constexpr std::u32string_view kParticles = U"的地得了着著过過吗嗎呢吧啊们們个個只隻张張条條些是一";

// Beginnings of explanations that name no thing.
constexpr std::array<std::string_view, 16> kRemarks = {
    "CL:",           "surname ",   "variant of",       "old variant",
    "erhua variant", "used in",    "used for",         "used to ",
    "see ",          "see also",   "abbr. ",           "also pr",
    "also written",  "classifier", "Japanese variant", "unofficial variant"};

std::string WithoutParentheses(std::string_view text) {
  std::string out;
  int depth = 0;
  for (char c : text) {
    if (c == '(') ++depth;
    if (depth == 0) out += c;
    if (c == ')' && depth > 0) --depth;
  }
  return std::string(Trim(out));
}

// Empty when the explanation is of no use.
std::string Gloss(std::string_view english) {
  std::string gloss = WithoutParentheses(english);
  if (gloss.empty() || gloss.size() > kGlossBytesMax || HasChinese(gloss)) return "";
  for (std::string_view remark : kRemarks) {
    if (gloss.starts_with(remark)) return "";
  }
  if (gloss.starts_with("to ")) gloss = gloss.substr(3);
  std::replace(gloss.begin(), gloss.end(), '\t', ' ');
  std::replace(gloss.begin(), gloss.end(), '\n', ' ');
  return gloss;
}

// "(slang) ...", "(dialect) ...": not what the word means as a rule.
bool IsRare(std::string_view english) {
  constexpr std::array<std::string_view, 7> kUses = {"(slang", "(dialect", "(old)",     "(coll.",
                                                     "(fig.",  "(archaic", "(literary)"};
  return std::any_of(kUses.begin(), kUses.end(), [&](std::string_view use) {
    return english.find(use) != std::string_view::npos;
  });
}

struct Candidate {
  std::vector<std::string> glosses;
  int score = -1;
};

Candidate Judge(const Json& entry) {
  Candidate out;
  const auto english = entry.find("english");
  if (english == entry.end() || !english->is_array()) return out;
  int useful = 0;
  bool measured = false;
  for (const Json& one : *english) {
    if (!one.is_string()) continue;
    const std::string text = one.get<std::string>();
    measured |= text.find("CL:") != std::string::npos;
    const auto parts = Split(text, ';');
    if (Gloss(parts.front()).empty()) continue;
    ++useful;
    for (const std::string_view part : parts) {
      const std::string gloss = Gloss(Trim(part));
      const bool known =
          std::find(out.glosses.begin(), out.glosses.end(), gloss) != out.glosses.end();
      if (gloss.empty() || known || out.glosses.size() == kGlossesMax) continue;
      if (out.glosses.empty() || !IsRare(text)) out.glosses.push_back(gloss);
    }
  }
  const std::string pinyin = GetString(entry, "pinyin").value_or("");
  const bool name = !pinyin.empty() && pinyin[0] >= 'A' && pinyin[0] <= 'Z';
  if (useful > 0) out.score = std::min(useful, 9) + (measured ? 20 : 0) + (name ? 0 : 10);
  return out;
}

bool IsChineseWord(const std::string& word) {
  const std::u32string points = ToCodePoints(word);
  return !points.empty() && points.size() <= kWordPointsMax &&
         std::all_of(points.begin(), points.end(), IsHanPoint);
}

}  // namespace

bool HasChinese(std::string_view text) {
  const std::u32string points = ToCodePoints(text);
  return std::any_of(points.begin(), points.end(), IsHanPoint);
}

Result<std::string> CompactChineseDictionary(std::string_view cedict_json) {
  const Json json = TRY(ParseJson(cedict_json));
  if (!json.is_array()) return Error{Code::kCorrupt, "Chinese dictionary: not an array"};
  std::map<std::string, Candidate> best;
  for (const Json& entry : json) {
    const Candidate candidate = Judge(entry);
    if (candidate.score < 0) continue;
    for (const char* key : {"simplified", "traditional"}) {
      const std::string word = GetString(entry, key).value_or("");
      if (!IsChineseWord(word)) continue;
      Candidate& known = best[word];
      if (candidate.score > known.score) known = candidate;
    }
  }
  if (best.empty()) return Error{Code::kCorrupt, "Chinese dictionary: no words in it"};
  std::string out;
  for (const auto& [word, candidate] : best) {
    out += word + '\t' + Join(candidate.glosses, kBetween) + '\n';
  }
  return out;
}

Result<ChineseDictionary> ChineseDictionary::Parse(std::string text) {
  ChineseDictionary dictionary;
  dictionary.text_ = std::move(text);
  size_t begin = 0;
  std::string_view last;
  while (begin < dictionary.text_.size()) {
    const size_t end = dictionary.text_.find('\n', begin);
    const size_t tab = dictionary.text_.find('\t', begin);
    if (end == std::string::npos || tab > end) {
      return Error{Code::kCorrupt, "Chinese dictionary: a line without a word"};
    }
    const auto word = std::string_view(dictionary.text_).substr(begin, tab - begin);
    if (word <= last) return Error{Code::kCorrupt, "Chinese dictionary: not sorted"};
    last = word;
    dictionary.lines_.push_back(static_cast<uint32_t>(begin));
    begin = end + 1;
  }
  return dictionary;
}

Result<ChineseDictionary> ChineseDictionary::Load(const std::string& path) {
  Result<ChineseDictionary> parsed = Parse(TRY(ReadFile(path, kFileBytesMax)));
  if (!parsed.ok()) return Error{parsed.code(), path + ": " + parsed.message()};
  return parsed;
}

std::string_view ChineseDictionary::LineAt(size_t line) const {
  const auto rest = std::string_view(text_).substr(lines_[line]);
  return rest.substr(0, rest.find('\n'));
}

std::string_view ChineseDictionary::Find(std::string_view word) const {
  size_t low = 0, high = lines_.size();
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const std::string_view line = LineAt(middle);
    const size_t tab = line.find('\t');
    const int order = line.substr(0, tab).compare(word);
    if (order == 0) return line.substr(tab + 1);
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {};
}

size_t ChineseDictionary::Longest(std::u32string_view points, size_t at,
                                  std::string_view* english) const {
  size_t length = std::min(kWordPointsMax, points.size() - at);
  for (; length > 0; --length) {
    *english = Find(FromCodePoints(points.substr(at, length)));
    if (!english->empty()) break;
  }
  return length;
}

std::vector<std::string> ChineseDictionary::Words(std::string_view text) const {
  const std::u32string points = ToCodePoints(text);
  std::vector<std::string> words;
  for (size_t at = 0; at < points.size();) {
    if (!IsHanPoint(points[at])) {
      ++at;
      continue;
    }
    std::string_view english;
    const size_t length = std::max<size_t>(Longest(points, at, &english), 1);
    words.push_back(FromCodePoints(std::u32string_view(points).substr(at, length)));
    at += length;
  }
  return words;
}

std::vector<std::string_view> ChineseDictionary::Glosses(std::string_view word) const {
  std::vector<std::string_view> glosses;
  for (const std::string_view gloss : Split(Find(word), ';')) {
    if (!Trim(gloss).empty()) glosses.push_back(Trim(gloss));
  }
  return glosses;
}

std::vector<std::vector<std::string>> ChineseDictionary::Synonyms(
    const std::vector<std::string>& words, size_t count) const {
  constexpr size_t kTwoCharacters = 6;  // bytes
  std::unordered_map<std::string_view, std::vector<size_t>> wanted;
  for (size_t i = 0; i < words.size(); ++i) {
    for (const std::string_view gloss : Glosses(words[i])) wanted[gloss].push_back(i);
  }
  std::vector<std::map<std::string_view, double>> shared(words.size());
  for (size_t line = 0; line < lines_.size(); ++line) {
    const std::string_view text = LineAt(line);
    const size_t tab = text.find('\t');
    if (tab != kTwoCharacters) continue;
    const std::string_view word = text.substr(0, tab);
    double worth = 1;
    for (const std::string_view gloss : Split(text.substr(tab + 1), ';')) {
      const auto found = wanted.find(Trim(gloss));
      worth *= 0.9;
      if (found == wanted.end()) continue;
      for (const size_t i : found->second) {
        if (words[i] != word) shared[i][word] += worth;
      }
    }
  }
  std::vector<std::vector<std::string>> synonyms;
  for (const auto& of_word : shared) {
    std::vector<std::pair<double, std::string_view>> order;
    for (const auto& [word, worth] : of_word) order.emplace_back(-worth, word);
    std::sort(order.begin(), order.end());
    if (order.size() > count) order.resize(count);
    auto& out = synonyms.emplace_back();
    for (const auto& [worth, word] : order) out.emplace_back(word);
  }
  return synonyms;
}

std::string ChineseDictionary::ToEnglish(std::string_view text) const {
  const std::u32string points = ToCodePoints(text);
  std::string out;
  for (size_t at = 0; at < points.size();) {
    if (!IsHanPoint(points[at])) {
      AppendUtf8(out, points[at++]);
      continue;
    }
    std::string_view english;
    const size_t length = Longest(points, at, &english);
    english = english.substr(0, english.find(';'));
    const bool particle = length == 1 && kParticles.find(points[at]) != std::u32string_view::npos;
    if (!english.empty() && !particle) {
      if (!out.empty() && out.back() != ' ') out += ' ';
      out += english;
      out += ' ';
    }
    at += std::max<size_t>(length, 1);
  }
  return std::string(Trim(out));
}

}  // namespace msearch::embedding
