#include "catalog/words.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "base/strings.h"
#include "base/text.h"

// English inflection is stripped by a few rules instead of a full stemmer: names and labels are
// mostly nouns, so plurals matter most, and rules that go further (nation, nationality) confuse
// more than they find. Stems are never shown; they only have to be the same for all forms.

namespace msearch::catalog {
namespace {

constexpr size_t kTermBytesMax = 64;
constexpr size_t kPhrasesMax = 16;
// Shorter ones begin too many words to be worth reading.
constexpr size_t kPrefixBytesMin = 3;
constexpr size_t kPhraseTermsMax = 32;

bool EndsWith(std::string_view text, std::string_view end) { return text.ends_with(end); }
bool IsVowel(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }
bool HasVowel(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return IsVowel(c) || c == 'y'; });
}

const std::unordered_map<std::string_view, std::string_view>& IrregularPlurals() {
  static const std::unordered_map<std::string_view, std::string_view> kPlurals = {
      {"men", "man"},       {"women", "woman"},  {"children", "child"}, {"people", "person"},
      {"feet", "foot"},     {"teeth", "tooth"},  {"geese", "goose"},    {"mice", "mouse"},
      {"oxen", "ox"},       {"wolves", "wolf"},  {"knives", "knife"},   {"leaves", "leaf"},
      {"calves", "calf"},   {"halves", "half"},  {"shelves", "shelf"},  {"loaves", "loaf"},
      {"scarves", "scarf"}, {"wives", "wife"},   {"thieves", "thief"},  {"hooves", "hoof"},
      {"elves", "elf"},     {"cacti", "cactus"}, {"fungi", "fungus"},   {"octopi", "octopus"},
  };
  return kPlurals;
}

// "runn" becomes "run"; "fall", "pass" and "buzz" stay.
void UndoDoubling(std::string& stem) {
  const size_t n = stem.size();
  if (n < 3 || stem[n - 1] != stem[n - 2]) return;
  const char c = stem[n - 1];
  if (!IsVowel(c) && c != 'l' && c != 's' && c != 'z') stem.pop_back();
}

void StripVerbEnding(std::string& word) {
  for (const std::string_view ending : {"ing", "ed"}) {
    if (!EndsWith(word, ending) || EndsWith(word, "eed")) continue;
    const size_t rest = word.size() - ending.size();
    if (rest < 3 || !HasVowel(std::string_view(word).substr(0, rest))) continue;
    word.resize(rest);
    UndoDoubling(word);
    return;
  }
}

std::string Stem(std::string word) {
  if (word.size() < 3) return word;
  if (!std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; })) {
    return word;
  }
  if (const auto found = IrregularPlurals().find(word); found != IrregularPlurals().end()) {
    word = found->second;
  }
  if (word.size() > 3 && word.back() == 's' && !EndsWith(word, "ss") && !EndsWith(word, "us") &&
      !EndsWith(word, "is")) {
    word.pop_back();
  }
  StripVerbEnding(word);
  if (word.size() > 3 && word.back() == 'e') word.pop_back();
  if (word.back() == 'y' && !IsVowel(word[word.size() - 2])) word.back() = 'i';
  return word;
}

void AppendPairs(std::string_view text, const WordSpan& word, std::vector<Term>& out) {
  const std::string_view run = text.substr(word.begin, word.end - word.begin);
  const std::vector<std::string_view> characters = SplitCharacters(run);
  std::vector<Term> singles;
  for (const std::string_view character : characters) {
    const size_t begin = word.begin + static_cast<size_t>(character.data() - run.data());
    std::string folded = FoldWord(character);
    // What folds to more than letters (a unit in a square) has nothing to pair.
    if (SplitWords(folded).size() == 1) {
      singles.push_back({std::move(folded), begin, begin + character.size()});
    }
  }
  for (size_t i = 0; i + 1 < singles.size(); ++i) {
    out.push_back({singles[i].text + singles[i + 1].text, singles[i].begin, singles[i + 1].end});
  }
  if (!singles.empty()) out.push_back(std::move(singles.back()));
}

// The folded words of one word: more than one where folding takes it apart ("½").
std::vector<std::string> FoldedWords(std::string_view word) {
  const std::string folded = FoldWord(word);
  std::vector<std::string> words;
  for (const WordSpan& part : SplitWords(folded)) {
    words.emplace_back(TruncateUtf8(
        std::string_view(folded).substr(part.begin, part.end - part.begin), kTermBytesMax));
  }
  return words;
}

// The "s" of "frog's" and the "t" of "don't".
bool IsAfterApostrophe(std::string_view text, const WordSpan& word) {
  if (word.end - word.begin != 1 || word.begin < 2) return false;
  const std::string_view before = text.substr(0, word.begin);
  return EndsWith(before, "'") || EndsWith(before, "\u2019");
}

bool IsConnecting(std::string_view word) {
  static const std::unordered_set<std::string_view> kWords = {
      "a",  "an", "and", "are", "as", "at", "by",  "for", "from",
      "in", "is", "it",  "of",  "on", "or", "the", "to",  "with"};
  return kWords.contains(word);
}

// Words joined by these are one thing ("IMG_2034", "semi-final", "a.txt").
bool Joins(std::string_view between) {
  return between.size() == 1 &&
         std::string_view("-_.@/\\:").find(between[0]) != std::string_view::npos;
}

// `ends`: in a phrase where something follows, so that the indexed run must end there too.
void AppendWord(std::string_view text, const WordSpan& word, bool ends, Phrase& phrase,
                std::string& last) {
  phrase.prefix.clear();
  if (word.cjk) {
    std::vector<Term> pairs;
    AppendPairs(text, word, pairs);
    if (pairs.empty()) return;
    if (pairs.size() > 1 && !ends) pairs.pop_back();
    if (pairs.size() == 1 && !ends && SplitCharacters(pairs[0].text).size() == 1) {
      phrase.prefix = pairs[0].text;
    }
    for (Term& pair : pairs) phrase.terms.push_back(std::move(pair.text));
    last.clear();
    return;
  }
  for (std::string& folded : FoldedWords(text.substr(word.begin, word.end - word.begin))) {
    last = folded;
    phrase.terms.push_back(Stem(std::move(folded)));
  }
}

// Of one quoted or unquoted part of a query.
struct PhraseReader {
  std::string_view text;
  bool quoted = false;
  std::vector<Phrase> phrases;
  std::string last;  // the last word, folded but not stemmed; empty after CJK

  void Read() {
    size_t end_before = 0;
    bool cjk_before = false;
    const std::vector<WordSpan> words = SplitWords(text);
    for (const WordSpan& word : words) {
      if (IsAfterApostrophe(text, word)) continue;
      const bool first = phrases.empty();
      const bool joined = !first && !word.cjk && !cjk_before &&
                          Joins(text.substr(end_before, word.begin - end_before));
      if (first || (!quoted && !joined)) phrases.emplace_back();
      AppendWord(text, word, quoted && &word != &words.back(), phrases.back(), last);
      end_before = word.end;
      cjk_before = word.cjk;
    }
  }
};

void DropConnectingWords(std::vector<std::pair<Phrase, bool>>& phrases) {
  const auto connecting = [](const std::pair<Phrase, bool>& entry) {
    return !entry.second && entry.first.terms.size() == 1 && IsConnecting(entry.first.terms[0]);
  };
  if (std::all_of(phrases.begin(), phrases.end(), connecting)) return;
  std::erase_if(phrases, connecting);
}

bool MatchesAt(const Phrase& phrase, size_t at, size_t count, const auto& term_at) {
  const size_t size = phrase.terms.size();
  if (at + size > count) return false;
  for (size_t i = 0; i < size; ++i) {
    const std::string_view term = term_at(at + i);
    if (term == phrase.terms[i]) continue;
    if (i + 1 < size || phrase.prefix.empty() || !term.starts_with(phrase.prefix)) return false;
  }
  return true;
}

std::string OneLine(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = static_cast<unsigned char>(c) <= ' ';
    if (!space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// Never inside a word or, where words are long, inside a character.
size_t CutBefore(std::string_view text, size_t at) {
  if (at >= text.size()) return text.size();
  size_t cut = TruncateUtf8(text, at).size();
  const size_t space = text.substr(0, cut).find_last_of(" \t\r\n");
  return space != std::string_view::npos && cut - space < 24 ? space : cut;
}

size_t CutAfter(std::string_view text, size_t at) {
  if (at == 0) return 0;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  const size_t space = text.find_first_of(" \t\r\n", at);
  return space != std::string_view::npos && space - at < 24 ? space + 1 : at;
}

}  // namespace

std::vector<Term> Terms(std::string_view text) {
  std::vector<Term> terms;
  for (const WordSpan& word : SplitWords(text)) {
    if (IsAfterApostrophe(text, word)) continue;
    if (word.cjk) {
      AppendPairs(text, word, terms);
      continue;
    }
    for (std::string& folded : FoldedWords(text.substr(word.begin, word.end - word.begin))) {
      terms.push_back({Stem(std::move(folded)), word.begin, word.end});
    }
  }
  return terms;
}

std::string IndexText(std::string_view text) {
  std::string out;
  for (const Term& term : Terms(text)) {
    if (!out.empty()) out += ' ';
    out += term.text;
  }
  return out;
}

std::string IndexName(std::string_view name) {
  std::string whole = IndexText(name);
  const std::string parts = IndexText(SeparateNameParts(name));
  return parts == whole ? whole : whole + ' ' + parts;
}

TextQuery ParseTextQuery(std::string_view words) {
  std::vector<std::pair<Phrase, bool>> phrases;  // and whether it was quoted
  const std::vector<std::string_view> parts = Split(words, '"');
  for (size_t i = 0; i < parts.size(); ++i) {
    // A quotation mark that isn't closed quotes nothing.
    const bool quoted = i % 2 == 1 && i + 1 < parts.size();
    PhraseReader reader{parts[i], quoted};
    reader.Read();
    const bool at_end = i + 1 == parts.size();
    if (at_end && !reader.phrases.empty() && reader.last.size() >= kPrefixBytesMin) {
      reader.phrases.back().prefix = reader.last;
    }
    for (Phrase& phrase : reader.phrases) {
      if (phrase.terms.empty() || phrases.size() == kPhrasesMax) continue;
      if (phrase.terms.size() > kPhraseTermsMax) {
        phrase.terms.resize(kPhraseTermsMax);
        phrase.prefix.clear();
      }
      phrases.emplace_back(std::move(phrase), quoted);
    }
  }
  DropConnectingWords(phrases);
  TextQuery query;
  for (auto& [phrase, quoted] : phrases) query.phrases.push_back(std::move(phrase));
  return query;
}

bool Occurs(const Phrase& phrase, std::string_view indexed) {
  const std::vector<std::string_view> terms = Split(indexed, ' ');
  for (size_t at = 0; at < terms.size(); ++at) {
    if (MatchesAt(phrase, at, terms.size(), [&](size_t i) { return terms[i]; })) return true;
  }
  return false;
}

std::string Snippet(const TextQuery& query, std::string_view text, size_t bytes_max) {
  const std::vector<Term> terms = Terms(text);
  size_t begin = std::string_view::npos;
  size_t end = 0;
  for (size_t at = 0; at < terms.size(); ++at) {
    for (const Phrase& phrase : query.phrases) {
      if (!MatchesAt(phrase, at, terms.size(),
                     [&](size_t i) -> std::string_view { return terms[i].text; })) {
        continue;
      }
      const size_t match_end = terms[at + phrase.terms.size() - 1].end;
      if (begin == std::string_view::npos) begin = terms[at].begin;
      if (match_end - begin <= bytes_max / 2) end = std::max(end, match_end);
    }
  }
  if (begin == std::string_view::npos) return {};
  end = std::max(end, begin);
  const size_t spare = bytes_max > end - begin ? (bytes_max - (end - begin)) / 2 : 0;
  const size_t from = std::min(CutAfter(text, begin > spare ? begin - spare : 0), begin);
  const size_t to = std::max(CutBefore(text, from + bytes_max), std::min(end, from + bytes_max));
  const size_t whole = TruncateUtf8(text, to).size();
  const std::string cut = OneLine(text.substr(from, whole - from));
  return (from > 0 ? "… " : "") + SanitizeUtf8(cut) + (whole < text.size() ? " …" : "");
}

}  // namespace msearch::catalog
