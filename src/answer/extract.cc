#include "answer/extract.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/legacy_text.h"
#include "base/strings.h"
#include "base/text.h"
#include "base/unicode.h"
#include "catalog/words.h"

// A sentence is as good as the part of the question's words that it has, each weighed by its
// rarity in the library. Words that its neighbours, the rest of the passage or the file's name
// have count in part, since texts don't repeat what they are about in every sentence. A sentence
// that has the kind of thing asked for (a date, a number, a name) is better, one that lacks it
// worse. The same figure, of the best sentence, is the evidence that there is an answer at all.

namespace msearch::answer {
namespace {

constexpr double kNear = 0.8;      // a word that stands in the sentence before or after
constexpr double kPassage = 0.55;  // ... elsewhere in the passage
constexpr double kName = 0.7;      // ... in the file's name or path
constexpr double kRarityMax = 6;  // what is nowhere in the library weighs no more than what is rare
constexpr double kMissingKind = 0.65;
constexpr double kHasKind = 1.08;
constexpr double kUnasked = 0.88;  // nothing in the passage speaks of what is asked
constexpr double kHalf = 0.82;     // ... or of two fifths of the question's words
constexpr double kMeaning = 0.1;   // the model says that the passage is about the question
constexpr double kAlike = 0.6;     // sentences that share so much say the same
constexpr size_t kSentenceBytesMax = 700;
constexpr size_t kTextBytesMax = 64 << 10;

// "2027-08-02": the name of its month, as a question has it.
void AddMonths(std::string_view text, std::set<std::string>* terms) {
  static constexpr std::string_view kPattern = "0000-00-00";
  static constexpr std::string_view kMonths[] = {"january",   "february", "march",    "april",
                                                 "may",       "june",     "july",     "august",
                                                 "september", "october",  "november", "december"};
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t at = 0; at + kPattern.size() <= text.size(); ++at) {
    const std::string_view date = text.substr(at, kPattern.size());
    const bool matches =
        std::equal(date.begin(), date.end(), kPattern.begin(),
                   [&](char c, char like) { return like == '0' ? is_digit(c) : c == like; });
    if (!matches) continue;
    const size_t month = static_cast<size_t>(date[5] - '0') * 10 + (date[6] - '0');
    if (month < 1 || month > std::size(kMonths)) continue;
    for (catalog::Term& term : catalog::Terms(kMonths[month - 1])) {
      terms->insert(std::move(term.text));
    }
  }
}

std::set<std::string> TermsOf(std::string_view text) {
  std::set<std::string> terms;
  for (catalog::Term& term : catalog::Terms(text)) terms.insert(std::move(term.text));
  AddMonths(text, &terms);
  // Of Chinese, single characters, too: a question's word may be one.
  for (const WordSpan& word : SplitWords(text)) {
    if (!word.cjk) continue;
    for (const std::string_view one :
         SplitCharacters(text.substr(word.begin, word.end - word.begin))) {
      terms.emplace(one);
    }
  }
  return terms;
}

std::set<std::string> NameTerms(const Passage& passage) {
  std::set<std::string> terms;
  const std::string indexed = catalog::IndexName(passage.path);
  for (const std::string_view term : Split(indexed, ' ')) {
    terms.emplace(term);
  }
  return terms;
}

bool HasAny(const std::set<std::string>& terms, const QueryTerm& wanted) {
  return std::any_of(wanted.forms.begin(), wanted.forms.end(),
                     [&](const std::string& form) { return terms.contains(form); });
}

// Whether labels, which are English, have a Chinese word.
bool IsNamed(const std::set<std::string>& labels, const QueryTerm& wanted) {
  return std::any_of(wanted.english.begin(), wanted.english.end(), [&](const auto& stems) {
    return !stems.empty() && std::all_of(stems.begin(), stems.end(), [&](const std::string& stem) {
      return labels.contains(stem);
    });
  });
}

double WeightOf(const Evidence& evidence, size_t term) {
  const double rarity = term < evidence.rarity.size() ? evidence.rarity[term] : 1;
  return std::clamp(rarity, 0.3, kRarityMax);
}

double Alike(const std::set<std::string>& a, const std::set<std::string>& b) {
  if (a.empty() || b.empty()) return 0;
  size_t common = 0;
  for (const std::string& term : a) common += b.contains(term) ? 1 : 0;
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

bool HasWord(const std::set<std::string>& terms, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* word) {
    const auto stems = catalog::Terms(word);
    return !stems.empty() && terms.contains(stems[0].text);
  });
}

// A capitalised word that isn't the first of its sentence and isn't of the question.
bool HasName(std::string_view text, const Question& question) {
  bool first = true;
  for (const catalog::Term& term : catalog::Terms(text)) {
    const char begin = text[term.begin];
    const bool capital = begin >= 'A' && begin <= 'Z' && term.end - term.begin > 1;
    const bool asked =
        std::any_of(question.terms.begin(), question.terms.end(), [&](const QueryTerm& wanted) {
          return std::find(wanted.forms.begin(), wanted.forms.end(), term.text) !=
                 wanted.forms.end();
        });
    if (capital && !asked && !first) return true;
    // A name may open a sentence, too, when another capitalised word follows it.
    if (capital && !asked && first) {
      const size_t next = term.end + 1;
      if (next < text.size() && text[next] >= 'A' && text[next] <= 'Z') return true;
    }
    first = false;
  }
  return false;
}

// Whether the sentence has the kind of thing that was asked for; where nobody can tell, it does.
bool HasWanted(std::string_view text, const std::set<std::string>& terms,
               const Question& question) {
  if (question.wants != Wants::kPerson) return HasKind(question.wants, text, terms);
  if (question.chinese) return true;  // Chinese doesn't mark names
  // "was founded by four postmen" names nobody, and says who.
  return HasName(text, question) || text.find(" by ") != std::string_view::npos ||
         HasWord(terms, {"he",          "she",        "they",   "brother",  "sister", "mother",
                         "father",      "uncle",      "aunt",   "teacher",  "doctor", "captain",
                         "team",        "company",    "son",    "daughter", "wife",   "husband",
                         "student",     "neighbour",  "people", "niece",    "nephew", "friend",
                         "grandmother", "grandfather"});
}

// What a question's word costs that a sentence hasn't quite: 1 for the word itself.
constexpr double kKin = 0.6;    // a word with the same beginning: "slow" and "slower"
constexpr double kApart = 0.5;  // both characters of a pair, apart

// Whether one of the words goes on where the other ends.
bool IsKin(std::string_view a, std::string_view b) {
  constexpr size_t kShortest = 4;
  constexpr size_t kLonger = 4;
  if (a.size() > b.size()) std::swap(a, b);
  return a.size() >= kShortest && b.size() <= a.size() + kLonger && b.starts_with(a);
}

constexpr double kSynonym = 0.75;  // another Chinese word for it

double Credit(const std::set<std::string>& terms, const QueryTerm& wanted) {
  if (HasAny(terms, wanted)) return 1;
  if (std::any_of(wanted.synonyms.begin(), wanted.synonyms.end(),
                  [&](const std::string& other) { return terms.contains(other); })) {
    return kSynonym;
  }
  if (wanted.run != 0) {
    const auto characters = SplitCharacters(wanted.forms.front());
    const bool apart = characters.size() == 2 &&
                       std::all_of(characters.begin(), characters.end(), [&](std::string_view one) {
                         return terms.contains(std::string(one));
                       });
    return apart ? kApart : 0;
  }
  for (const std::string& form : wanted.forms) {
    // Kin stand near each other in the order of the alphabet.
    for (auto at = terms.lower_bound(form.substr(0, 4)); at != terms.end(); ++at) {
      if (at->compare(0, 4, form, 0, 4) != 0) break;
      if (IsKin(*at, form)) return kKin;
    }
  }
  return 0;
}

// As it stands in a text, before it's weighed.
struct Line {
  std::string text;
  bool heading = false;
};

struct Sentence {
  size_t passage = 0;  // of the chosen ones
  std::string text;
  std::set<std::string> terms;
  double score = 0;
  size_t order = 0;
};

bool EndsSentence(std::string_view text) {
  static constexpr std::string_view kEnds[] = {".",  "!",  "?",  ":",  ";",  ",", "。",
                                               "！", "？", "：", "；", "，", "”", "\""};
  return std::any_of(std::begin(kEnds), std::end(kEnds),
                     [&](std::string_view end) { return text.ends_with(end); });
}

// Lines that only wrap are joined; items of lists end a sentence. A line that stands alone and
// doesn't end like a sentence is a heading.
// A table's lines are rows: each says something alone.
bool IsTable(const std::string& path) {
  const std::string folded = FoldCase(path);
  return folded.ends_with(".csv") || folded.ends_with(".tsv");
}

std::vector<Line> RowsOf(std::string_view text) {
  std::vector<Line> rows;
  for (const std::string_view raw : Split(TruncateUtf8(text, kTextBytesMax), '\n')) {
    const std::string_view line = Trim(raw);
    if (line.empty()) continue;
    // The first names the columns.
    rows.push_back({std::string(TruncateUtf8(line, kSentenceBytesMax)), rows.empty()});
  }
  return rows;
}

std::vector<Line> SentencesOf(std::string_view text) {
  constexpr size_t kHeadingBytesMax = 90;
  std::vector<Line> sentences;
  std::string block;
  int lines = 0;
  auto flush = [&](bool marked) {
    const bool heading =
        marked || (lines == 1 && block.size() <= kHeadingBytesMax && !EndsSentence(block));
    for (const std::string_view raw : SplitSentences(block)) {
      const std::string_view one = Trim(raw);
      if (one.empty()) continue;
      sentences.push_back({std::string(TruncateUtf8(one, kSentenceBytesMax)), heading});
    }
    block.clear();
    lines = 0;
  };
  for (const std::string_view raw : Split(TruncateUtf8(text, kTextBytesMax), '\n')) {
    std::string_view line = Trim(raw);
    const bool item = line.starts_with("- ") || line.starts_with("* ") || line.starts_with("|");
    const bool heading = line.starts_with("#");
    if (line.empty() || item || heading) flush(false);
    while (heading && line.starts_with('#')) line.remove_prefix(1);
    line = Trim(line);
    if (line.empty()) continue;
    if (!block.empty()) block += ' ';
    block += line;
    lines += item ? 2 : 1;  // an item is no heading, however short
    if (heading) flush(true);
  }
  // What ends a passage may go on in the next.
  ++lines;
  flush(false);
  return sentences;
}

// "frog.png shows a tree frog (82 %)."
std::string SentenceOf(const Passage& passage, const Question& question) {
  std::vector<std::string> labels;
  for (const Passage::Label& label : passage.labels) {
    if (labels.size() == 3) break;
    labels.push_back(label.text + " (" + std::to_string(std::lround(label.probability * 100)) +
                     " %)");
  }
  const std::string name = passage.path.substr(passage.path.rfind('/') + 1);
  if (labels.empty()) return name;
  return question.chinese ? name + " 看起来是：" + Join(labels, "、") + "。"
                          : name + " looks like: " + Join(labels, ", ") + ".";
}

class Extractor {
 public:
  Extractor(const Question& question, const Evidence& evidence,
            const std::vector<Passage>& passages)
      : question_(question), evidence_(evidence), passages_(passages) {
    for (size_t t = 0; t < question.terms.size(); ++t) {
      weights_.push_back(WeightOf(evidence, t) * question.terms[t].weight);
    }
    LightenSeams();
  }

  std::vector<Sentence> Run() {
    for (size_t i = 0; i < passages_.size(); ++i) AddPassage(i);
    std::stable_sort(sentences_.begin(), sentences_.end(),
                     [](const Sentence& a, const Sentence& b) { return a.score > b.score; });
    return std::move(sentences_);
  }

 private:
  void AddPassage(size_t index) {
    const Passage& passage = passages_[index];
    std::set<std::string> names = NameTerms(passage);
    if (passage.text.empty()) return AddPicture(index, names);
    std::vector<Sentence> own;
    std::set<std::string> all;
    const bool table = IsTable(passage.path);
    bool kind_named = false;
    for (Line& line : table ? RowsOf(passage.text) : SentencesOf(passage.text)) {
      Sentence sentence{index, std::move(line.text), {}, 0, 0};
      sentence.terms = TermsOf(sentence.text);
      all.insert(sentence.terms.begin(), sentence.terms.end());
      // A heading says what the sentences below it are about, as a file's name does.
      if (line.heading) names.insert(sentence.terms.begin(), sentence.terms.end());
      // A column's name tells what kind of thing its cells are: "visible from".
      if (table && line.heading && question_.wants != Wants::kPerson) {
        kind_named = HasKind(question_.wants, sentence.text, sentence.terms);
      }
      if (!line.heading) own.push_back(std::move(sentence));
    }
    for (size_t i = 0; i < own.size(); ++i) {
      const std::set<std::string>* before = i > 0 && !table ? &own[i - 1].terms : nullptr;
      const std::set<std::string>* after =
          i + 1 < own.size() && !table ? &own[i + 1].terms : nullptr;
      const bool wanted = kind_named || HasWanted(own[i].text, own[i].terms, question_);
      const bool hours = HasHours(own[i].text);
      double total = 0;
      double has = 0;
      double alone = 0;
      bool asked = true;     // what is asked is spoken of
      size_t spoken_of = 0;  // of the question's terms
      size_t words = 0;      // terms without seams
      for (size_t t = 0; t < question_.terms.size(); ++t) {
        const QueryTerm& term = question_.terms[t];
        const double weight = weights_[t];
        total += weight;
        const bool said = (term.kind && wanted) || (term.hours && hours);
        const double here = said ? 1 : Credit(own[i].terms, term);
        double near = 0;
        if (before != nullptr) near = std::max(near, kNear * Credit(*before, term));
        if (after != nullptr) near = std::max(near, kNear * Credit(*after, term));
        near = std::max(near, kName * Credit(names, term));
        near = std::max(near, kPassage * Credit(all, term));
        has += weight * std::max(here, near);
        words += term.seam && std::max(here, near) <= 0 ? 0 : 1;
        if (std::max(here, near) > 0) {
          ++spoken_of;
        } else if (term.asked) {
          asked = false;
        }
        alone += weight * here;
      }
      if (total <= 0 || alone <= 0) continue;
      double score = 0.75 * has / total + 0.25 * alone / total;
      // A question says what it is about, and answers nothing.
      const bool asks = own[i].text.ends_with('?') || own[i].text.ends_with("？");
      if (asks || own[i].terms.size() < 3) score *= 0.6;
      score *= wanted ? (question_.wants == Wants::kAnything ? 1 : kHasKind) : kMissingKind;
      if (question_.wants_pictures && passage.type != "image") score *= 0.8;
      if (!asked) score *= kUnasked;
      if (spoken_of * 5 < words * 3) score *= kHalf;
      if (asked) score += kMeaning * passage.meaning;
      own[i].score = std::min(score, 1.0);
      own[i].order = i;
      sentences_.push_back(std::move(own[i]));
    }
  }

  void AddPicture(size_t index, const std::set<std::string>& names) {
    const Passage& passage = passages_[index];
    Sentence sentence{index, SentenceOf(passage, question_), {}, 0, 0};
    std::set<std::string> labels;
    double surest = 0;
    for (const Passage::Label& label : passage.labels) {
      labels.merge(TermsOf(label.text));
      surest = std::max(surest, label.probability);
    }
    double total = 0;
    double has = 0;
    for (size_t t = 0; t < question_.terms.size(); ++t) {
      const double weight = question_.terms[t].seam ? 0 : WeightOf(evidence_, t);
      total += weight;
      if (HasAny(names, question_.terms[t])) {
        has += weight;
      } else if (HasAny(labels, question_.terms[t]) || IsNamed(labels, question_.terms[t])) {
        has += weight * 0.9;
      }
    }
    if (total <= 0) return;
    // A picture says what it shows; it tells no time, number, person or reason.
    const bool may = question_.wants == Wants::kAnything || question_.wants_pictures;
    double score = std::max(has / total, passage.strong ? passage.meaning * 0.9 : 0.0);
    if (!may) score *= 0.6;
    if (!question_.wants_pictures) score *= 0.8;
    sentence.terms = labels;
    sentence.terms.insert(names.begin(), names.end());
    sentence.score = score;
    if (score > 0) sentences_.push_back(std::move(sentence));
  }

  // A Chinese pair that stands nowhere, beside one that does, is as a rule no word but the seam of
  // two.
  void LightenSeams() {
    constexpr double kSeam = 0.3;
    std::vector<bool> there(question_.terms.size());
    for (const Passage& passage : passages_) {
      std::set<std::string> terms = TermsOf(TruncateUtf8(passage.text, kTextBytesMax));
      terms.merge(NameTerms(passage));
      for (size_t t = 0; t < there.size(); ++t) {
        there[t] = there[t] || HasAny(terms, question_.terms[t]);
      }
    }
    for (size_t t = 0; t < there.size(); ++t) {
      const int run = question_.terms[t].run;
      if (there[t] || run == 0 || question_.terms[t].asked) continue;
      const bool left = t > 0 && question_.terms[t - 1].run == run && there[t - 1];
      const bool right = t + 1 < there.size() && question_.terms[t + 1].run == run && there[t + 1];
      if (left || right || question_.terms[t].seam) weights_[t] *= kSeam;
    }
  }

  const Question& question_;
  const Evidence& evidence_;
  const std::vector<Passage>& passages_;
  std::vector<double> weights_;  // of the question's terms
  std::vector<Sentence> sentences_;
};

// Joined to one text, with the numbers of the citations behind each sentence.
void Compose(const Question& question, Answer* answer) {
  for (const Claim& claim : answer->claims) {
    if (!answer->text.empty() && !question.chinese) answer->text += ' ';
    answer->text += claim.text;
    for (const int number : claim.citations) answer->text += " [" + std::to_string(number) + "]";
  }
}

}  // namespace

double Coverage(const Question& question, const Evidence& evidence, const Passage& passage) {
  std::set<std::string> terms = TermsOf(TruncateUtf8(passage.text, kTextBytesMax));
  terms.merge(NameTerms(passage));
  for (const Passage::Label& label : passage.labels) terms.merge(TermsOf(label.text));
  double total = 0;
  double has = 0;
  for (size_t t = 0; t < question.terms.size(); ++t) {
    total += WeightOf(evidence, t);
    if (HasAny(terms, question.terms[t])) has += WeightOf(evidence, t);
  }
  return total > 0 ? has / total : 0;
}

std::vector<Passage> ChoosePassages(const Question& question, const Evidence& evidence,
                                    size_t count) {
  constexpr double kRelevance = 0.75;
  struct Candidate {
    const Passage* passage;
    double relevance;
    std::set<std::string> terms;
  };
  std::vector<Candidate> candidates;
  for (const Passage& passage : evidence.passages) {
    const double relevance = 0.8 * Coverage(question, evidence, passage) + 0.2 * passage.meaning;
    candidates.push_back({&passage, relevance, TermsOf(TruncateUtf8(passage.text, kTextBytesMax))});
  }
  std::vector<Passage> chosen;
  std::vector<const Candidate*> taken;
  while (chosen.size() < count && taken.size() < candidates.size()) {
    const Candidate* best = nullptr;
    double best_score = 0;
    for (const Candidate& candidate : candidates) {
      if (std::find(taken.begin(), taken.end(), &candidate) != taken.end()) continue;
      double likeness = 0;
      for (const Candidate* other : taken) {
        likeness = std::max(likeness, Alike(candidate.terms, other->terms));
      }
      const double score = kRelevance * candidate.relevance - (1 - kRelevance) * likeness;
      if (best == nullptr || score > best_score) {
        best = &candidate;
        best_score = score;
      }
    }
    taken.push_back(best);
    chosen.push_back(*best->passage);
  }
  return chosen;
}

Answer Extract(const Question& question, const Evidence& evidence, const ExtractOptions& options) {
  const std::vector<Passage> passages = ChoosePassages(question, evidence, options.passages_max);
  const std::vector<Sentence> sentences = Extractor(question, evidence, passages).Run();
  Answer answer;
  answer.notice = evidence.notice;
  answer.confidence = sentences.empty() ? 0 : sentences.front().score;
  answer.found = !sentences.empty() && answer.confidence >= options.evidence_min;
  std::vector<const Sentence*> taken;
  for (const Sentence& sentence : sentences) {
    if (taken.size() == options.sentences_max) break;
    if (answer.found && sentence.score < 0.8 * answer.confidence) break;
    const bool said = std::any_of(taken.begin(), taken.end(), [&](const Sentence* other) {
      return Alike(sentence.terms, other->terms) > kAlike;
    });
    if (said) continue;
    taken.push_back(&sentence);
    const Citation citation = Cite(passages[sentence.passage], sentence.text);
    if (!answer.found) {
      answer.nearest.push_back(citation);
      continue;
    }
    // Each sentence is a citation of its own: another sentence of a passage is another quote.
    answer.citations.push_back(citation);
    answer.claims.push_back({sentence.text, {static_cast<int>(answer.citations.size())}});
  }
  if (answer.found) {
    Compose(question, &answer);
  } else {
    answer.text = NotInLibrary(question);
  }
  return answer;
}

}  // namespace msearch::answer
