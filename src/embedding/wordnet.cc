#include "embedding/wordnet.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/strings.h"

// index.noun, a line per word: lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt
// synset_offset..., best known sense first. data.noun, a line per synset, found by its offset in
// bytes: offset lex_filenum ss_type w_cnt(hex) {word lex_id}... p_cnt {symbol offset pos
// source/target}... | gloss. "@" is hypernym. (wndb(5WN), wordnet.princeton.edu)

namespace msearch::embedding {
namespace {

// So far up that everything is one.
constexpr std::array<std::string_view, 20> kSaysNothing = {
    "entity",       "physical entity", "object",   "whole",
    "living thing", "organism",        "artifact", "abstraction",
    "matter",       "causal agent",    "thing",    "psychological feature",
    "attribute",    "relation",        "group",    "measure",
    "cognition",    "communication",   "process",  "physical process"};

constexpr size_t kGeneralsMax = 16;

template <typename T>
bool ReadNumber(std::string_view text, T& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words = Split(line, ' ');
  std::erase_if(words, [](std::string_view word) { return word.empty(); });
  return words;
}

std::string WithSpaces(std::string_view lemma) {
  std::string out(lemma);
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

// One sense for each label, such that as many as possible rise in the order of the labels: the
// longest increasing subsequence where each place may take one of several values. Labels left out
// of it get their best known sense. 0: no sense.
std::vector<uint32_t> ChooseSenses(const std::vector<std::vector<uint32_t>>& candidates) {
  struct Step {
    size_t length = 0;
    size_t before = SIZE_MAX;  // the label before it in the sequence
    uint32_t before_sense = 0;
  };
  std::vector<std::vector<Step>> steps(candidates.size());
  size_t last = SIZE_MAX, last_place = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    for (size_t place = 0; place < candidates[i].size(); ++place) {
      Step best{1};
      for (size_t j = 0; j < i; ++j) {
        for (size_t k = 0; k < candidates[j].size(); ++k) {
          if (candidates[j][k] < candidates[i][place] && steps[j][k].length + 1 > best.length) {
            best = {steps[j][k].length + 1, j, candidates[j][k]};
          }
        }
      }
      steps[i].push_back(best);
      if (last == SIZE_MAX || best.length > steps[last][last_place].length) {
        last = i, last_place = place;
      }
    }
  }
  std::vector<uint32_t> chosen(candidates.size(), 0);
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates[i].empty()) chosen[i] = candidates[i][0];
  }
  while (last != SIZE_MAX) {
    chosen[last] = candidates[last][last_place];
    const Step step = steps[last][last_place];
    if (step.before != SIZE_MAX) {
      const auto& senses = candidates[step.before];
      last_place = static_cast<size_t>(std::find(senses.begin(), senses.end(), step.before_sense) -
                                       senses.begin());
    }
    last = step.before;
  }
  return chosen;
}

}  // namespace

Result<WordNet> WordNet::Open(std::string_view index, std::string_view data) {
  WordNet net;
  net.data_ = data;
  for (std::string_view line : Split(index, '\n')) {
    if (line.empty() || line[0] == ' ') continue;
    const std::vector<std::string_view> words = Words(line);
    size_t senses = 0, pointers = 0;
    if (words.size() < 6 || !ReadNumber(words[2], senses) || !ReadNumber(words[3], pointers) ||
        senses == 0 || words.size() < 6 + pointers + senses) {
      continue;
    }
    std::vector<uint32_t>& offsets = net.senses_[std::string(words[0])];
    for (size_t i = words.size() - senses; i < words.size(); ++i) {
      uint32_t offset = 0;
      if (ReadNumber(words[i], offset)) offsets.push_back(offset);
    }
  }
  if (net.senses_.empty()) return Error{Code::kCorrupt, "WordNet: no nouns in its index"};
  return net;
}

std::vector<uint32_t> WordNet::Senses(std::string label) const {
  label = AsciiLower(label);
  std::replace(label.begin(), label.end(), ' ', '_');
  std::vector<std::string> forms = {label};
  std::string hyphens = label;
  std::replace(hyphens.begin(), hyphens.end(), '_', '-');
  forms.push_back(hyphens);
  std::string closed = label;
  std::erase_if(closed, [](char c) { return c == '_' || c == '-'; });
  forms.push_back(closed);
  if (label.ends_with("s")) forms.push_back(label.substr(0, label.size() - 1));
  for (const std::string& form : forms) {
    const auto it = senses_.find(form);
    if (it != senses_.end()) return it->second;
  }
  return {};
}

WordNet::Noun WordNet::ReadNoun(uint32_t offset) const {
  if (offset >= data_.size()) return {};
  std::string_view line = data_.substr(offset);
  line = line.substr(0, line.find('\n'));
  const std::vector<std::string_view> words = Words(line.substr(0, line.find('|')));
  size_t count = 0, pointers = 0;
  if (words.size() < 5 || !ReadNumber(words[3], count, 16) || count == 0 ||
      words.size() < 5 + 2 * count || !ReadNumber(words[4 + 2 * count], pointers)) {
    return {};
  }
  Noun noun{WithSpaces(words[4]), {}};
  for (size_t i = 0; i < pointers; ++i) {
    const size_t at = 5 + 2 * count + 4 * i;
    uint32_t target = 0;
    if (at + 2 >= words.size()) break;
    if (words[at] == "@" && words[at + 2] == "n" && ReadNumber(words[at + 1], target)) {
      noun.generals.push_back(target);
    }
  }
  return noun;
}

std::vector<std::string> WordNet::Ancestors(uint32_t offset) const {
  std::vector<std::string> out;
  std::set<uint32_t> seen = {offset};
  std::vector<uint32_t> level = ReadNoun(offset).generals;
  while (!level.empty() && out.size() < kGeneralsMax) {
    std::vector<uint32_t> next;
    for (uint32_t general : level) {
      if (!seen.insert(general).second) continue;
      Noun noun = ReadNoun(general);
      const bool says_nothing =
          std::find(kSaysNothing.begin(), kSaysNothing.end(), noun.word) != kSaysNothing.end();
      if (!noun.word.empty() && !says_nothing && out.size() < kGeneralsMax) {
        out.push_back(noun.word);
      }
      next.insert(next.end(), noun.generals.begin(), noun.generals.end());
    }
    level = std::move(next);
  }
  return out;
}

std::vector<std::vector<std::string>> WordNet::GeneralWords(
    const std::vector<std::string>& labels) const {
  std::vector<std::vector<uint32_t>> candidates;
  for (const std::string& label : labels) candidates.push_back(Senses(label));
  std::vector<std::vector<std::string>> out;
  for (uint32_t sense : ChooseSenses(candidates)) {
    out.push_back(sense == 0 ? std::vector<std::string>{} : Ancestors(sense));
  }
  return out;
}

}  // namespace msearch::embedding
