#include "answer/question.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <unordered_set>

#include "base/strings.h"
#include "base/text.h"
#include "base/unicode.h"
#include "catalog/words.h"

// Words that only ask or connect are dropped; what is left are the terms. In Chinese, where no
// space parts the words, asking words are cut out of the text, and what remains between the cuts
// is read as overlapping pairs, as the catalog does.

namespace msearch::answer {
namespace {

constexpr size_t kTermsMax = 24;

bool IsStopWord(const std::string& word) {
  static const std::unordered_set<std::string> kWords = {
      "a",         "about",     "all",   "also",      "am",       "an",      "and",     "any",
      "are",       "as",        "at",    "be",        "been",     "being",   "but",     "by",
      "can",       "could",     "did",   "do",        "does",     "done",    "each",    "every",
      "find",      "for",       "from",  "give",      "had",      "has",     "have",    "he",
      "her",       "here",      "him",   "his",       "how",      "i",       "if",      "in",
      "into",      "is",        "it",    "its",       "just",     "kind",    "know",    "let",
      "list",      "many",      "may",   "me",        "might",    "much",    "must",    "my",
      "of",        "off",       "on",    "one",       "or",       "our",     "out",     "please",
      "say",       "says",      "said",  "shall",     "she",      "should",  "show",    "so",
      "some",      "sort",      "such",  "tell",      "than",     "that",    "the",     "their",
      "them",      "then",      "there", "these",     "they",     "this",    "those",   "to",
      "type",      "us",        "was",   "we",        "were",     "what",    "when",    "where",
      "which",     "who",       "whom",  "whose",     "why",      "will",    "with",    "would",
      "you",       "your",      "yours", "shown",     "depict",   "contain", "too",     "get",
      "got",       "name",      "call",  "according", "anything", "ever",    "exactly", "mention",
      "mentioned", "something", "upon"};
  return kWords.contains(word);
}

bool IsPictureWord(const std::string& word) {
  static const std::unordered_set<std::string> kWords = {
      "picture",     "pictures", "photo",  "photos",  "photograph",
      "photographs", "image",    "images", "drawing", "drawings"};
  return kWords.contains(word);
}

// Longest first, so that no word loses only its end.
const std::vector<std::string>& ChineseAskingWords() {
  static const std::vector<std::string> kWords = [] {
    std::vector<std::string> words = {
        "请问",     "请告诉我", "告诉我", "什么时候", "什么时间", "什么地方", "什么人",
        "什么样",   "为什么",   "为何",   "为了什么", "怎么样",   "怎么",     "怎样",
        "如何",     "什么",     "哪里",   "哪儿",     "哪个",     "哪些",     "哪一个",
        "哪一年",   "哪年",     "哪天",   "哪一天",   "哪种",     "哪位",     "哪家",
        "哪张",     "哪",       "谁",     "几个",     "几点",     "几",       "多少",
        "多久",     "多长",     "多大",   "多高",     "多远",     "多重",     "是否",
        "是不是",   "有没有",   "有哪些", "有几",     "吗",       "呢",       "吧",
        "啊",       "的",       "了",     "是",       "在",       "有",       "和",
        "与",       "或",       "我们",   "你们",     "他们",     "我",       "你",
        "多长时间", "多少时间", "多少钱", "名字",     "姓名",     "他",       "她",
        "它",       "这个",     "那个",   "这",       "那",       "请",       "里面",
        "里",       "中的",     "被",     "把",       "给",       "要",       "会",
        "能",       "可以",     "需要",   "一共",     "总共",     "关于",     "根据",
        "提到",     "说",       "资料库", "文档",     "文件",     "到底",     "究竟",
        "于",       "由",       "叫",     "从",       "向",       "对",       "都",
        "用",       "这些",     "那些"};
    std::stable_sort(words.begin(), words.end(),
                     [](const auto& a, const auto& b) { return a.size() > b.size(); });
    return words;
  }();
  return kWords;
}

std::vector<std::string> StemsOf(const std::vector<std::string>& words) {
  std::vector<std::string> stems;
  for (const std::string& word : words) {
    const auto terms = catalog::Terms(word);
    if (!terms.empty()) stems.push_back(terms[0].text);
  }
  return stems;
}

// One line for each verb: its forms, stemmed as the catalog stems them where they're regular.
const std::map<std::string, std::vector<std::string>>& Irregular() {
  static const auto kForms = [] {
    const std::vector<std::vector<std::string>> kVerbs = {{"be", "was", "were", "been"},
                                                          {"bear", "bore", "born"},
                                                          {"become", "became"},
                                                          {"begin", "began", "begun"},
                                                          {"break", "broke", "broken"},
                                                          {"bring", "brought"},
                                                          {"build", "built"},
                                                          {"buy", "bought"},
                                                          {"catch", "caught"},
                                                          {"choose", "chose", "chosen"},
                                                          {"come", "came"},
                                                          {"draw", "drew", "drawn"},
                                                          {"drink", "drank", "drunk"},
                                                          {"drive", "drove", "driven"},
                                                          {"eat", "ate", "eaten"},
                                                          {"fall", "fell", "fallen"},
                                                          {"feed", "fed"},
                                                          {"feel", "felt"},
                                                          {"fight", "fought"},
                                                          {"find", "found"},
                                                          {"fly", "flew", "flown"},
                                                          {"forget", "forgot", "forgotten"},
                                                          {"freeze", "froze", "frozen"},
                                                          {"get", "got", "gotten"},
                                                          {"give", "gave", "given"},
                                                          {"go", "went", "gone"},
                                                          {"grow", "grew", "grown"},
                                                          {"hang", "hung"},
                                                          {"hear", "heard"},
                                                          {"hide", "hid", "hidden"},
                                                          {"hold", "held"},
                                                          {"keep", "kept"},
                                                          {"know", "knew", "known"},
                                                          {"lay", "laid"},
                                                          {"lead", "led"},
                                                          {"leave", "left"},
                                                          {"lend", "lent"},
                                                          {"lose", "lost"},
                                                          {"make", "made"},
                                                          {"mean", "meant"},
                                                          {"meet", "met"},
                                                          {"pay", "paid"},
                                                          {"ride", "rode", "ridden"},
                                                          {"ring", "rang", "rung"},
                                                          {"rise", "rose", "risen"},
                                                          {"run", "ran"},
                                                          {"see", "saw", "seen"},
                                                          {"seek", "sought"},
                                                          {"sell", "sold"},
                                                          {"send", "sent"},
                                                          {"shake", "shook", "shaken"},
                                                          {"shine", "shone"},
                                                          {"sing", "sang", "sung"},
                                                          {"sink", "sank", "sunk"},
                                                          {"sit", "sat"},
                                                          {"sleep", "slept"},
                                                          {"speak", "spoke", "spoken"},
                                                          {"spend", "spent"},
                                                          {"stand", "stood"},
                                                          {"steal", "stole", "stolen"},
                                                          {"strike", "struck"},
                                                          {"swim", "swam", "swum"},
                                                          {"take", "took", "taken"},
                                                          {"teach", "taught"},
                                                          {"think", "thought"},
                                                          {"throw", "threw", "thrown"},
                                                          {"wear", "wore", "worn"},
                                                          {"win", "won"},
                                                          {"write", "wrote", "written"}};
    std::map<std::string, std::vector<std::string>> forms;
    for (const auto& verb : kVerbs) {
      const std::vector<std::string> stems = StemsOf(verb);
      for (const std::string& stem : stems) forms[stem] = stems;
    }
    // The days of a week; a day isn't all of them.
    for (const auto& days :
         {StemsOf({"weekday", "monday", "tuesday", "wednesday", "thursday", "friday"}),
          StemsOf({"weekend", "saturday", "sunday"})}) {
      forms[days.front()] = days;
    }
    return forms;
  }();
  return kForms;
}

bool IsFunctionWord(const std::string& word) {
  static const std::unordered_set<std::string> kWords = {
      "the",  "a",    "an",    "my",  "our", "your", "his",  "her", "its",  "their", "this",
      "that", "of",   "in",    "on",  "at",  "to",   "from", "for", "with", "by",    "into",
      "onto", "near", "under", "and", "or",  "is",   "are",  "too", "very", "when",  "if"};
  return kWords.contains(word);
}

bool IsAuxiliary(const std::string& word) {
  static const std::unordered_set<std::string> kWords = {
      "do",   "does", "did", "is",    "are",  "was",    "were", "has",
      "have", "had",  "can", "could", "will", "should", "must", "may"};
  return kWords.contains(word);
}

struct Reader {
  Question question;
  std::vector<std::string> seen;
  std::vector<size_t> places;      // of the terms
  std::vector<std::string> words;  // all of an English question, folded
  std::vector<size_t> word_begins;
  std::optional<size_t> asked_at;  // "who", "谁"
  int run = 0;                     // the present one
  int runs = 0;                    // so far

  // What follows the asking word is what is asked ("who painted ..."); else what goes before it
  // ("... 的馆长是谁").
  void WeighAround(size_t place, double weight) {
    if (question.terms.empty()) return;
    size_t best = 0;
    for (size_t i = 0; i < places.size(); ++i) {
      best = i;
      if (places[i] >= place) break;
    }
    Weigh(best, weight);
  }

  void Weigh(size_t index, double weight) {
    if (question.terms[index].kind) return;
    question.terms[index].weight = weight;
    question.terms[index].asked = true;
  }

  // "flooded", "washed", "thrown"
  static bool IsParticiple(const std::string& word) {
    if (word.ends_with("ed")) return true;
    const auto terms = catalog::Terms(word);
    return !terms.empty() && FormsOf(terms[0].text).size() > 1;
  }

  // What English asks for: the noun behind "which" and "how many", what follows "what is", or the
  // verb at the end ("when was the mine opened").
  void WeighEnglish() {
    constexpr double kPerson = 1.6;
    constexpr double kGuessed = 1.5;
    if (question.wants == Wants::kPerson && asked_at) return WeighAround(*asked_at, kPerson);
    if (question.terms.size() < 2) return;
    for (size_t i = 0; i + 1 < words.size(); ++i) {
      const std::string& word = words[i];
      const std::string& next = words[i + 1];
      const bool what = word == "what" || word == "which";
      if (!what && word != "when" && word != "where" && word != "why" && word != "how") continue;
      const bool noun = what && !IsAuxiliary(next) && !NamesKind(question.wants, next);
      const bool counted = word == "how" && (next == "many" || next == "much");
      if (noun || (counted && i + 2 < words.size() && !IsAuxiliary(words[i + 2]))) {
        return WeighAround(word_begins[i], kGuessed);
      }
      if (word == "what" && (next == "is" || next == "are")) {
        return WeighAround(word_begins[i], kGuessed);
      }
      WeighVerb(i, kGuessed);
      return;
    }
  }

  // The last word, if it is a verb for all that one can see.
  void WeighVerb(size_t from, double weight) {
    if (words.size() < 4 || places.back() != word_begins.back()) return;
    if (IsFunctionWord(words[words.size() - 2])) return;
    const auto auxiliary =
        std::find_if(words.begin() + static_cast<ptrdiff_t>(from), words.end(), IsAuxiliary);
    if (auxiliary == words.end()) return;
    const bool passive = *auxiliary == "is" || *auxiliary == "are" || *auxiliary == "was" ||
                         *auxiliary == "were" || auxiliary->starts_with("ha");
    if (!passive || IsParticiple(words.back())) Weigh(places.size() - 1, weight);
  }

  // In Chinese all pairs of a run share the weight that one word of English has, or a name of
  // three characters would count twice what is asked about it.
  void WeighChinese() {
    constexpr double kAsked = 1.5;
    if (asked_at && question.terms.size() > 1) WeighAround(*asked_at, kAsked);
    for (QueryTerm& term : question.terms) {
      const auto pairs = std::count_if(
          question.terms.begin(), question.terms.end(),
          [&](const QueryTerm& other) { return other.run == term.run && term.run != 0; });
      if (pairs > 1) term.weight /= std::sqrt(static_cast<double>(pairs));
    }
  }

  void Add(const catalog::Term& term, std::string_view text, size_t place) {
    if (question.terms.size() >= kTermsMax) return;
    if (std::find(seen.begin(), seen.end(), term.text) != seen.end()) return;
    seen.push_back(term.text);
    places.push_back(place);
    QueryTerm one{FormsOf(term.text), {}};
    if (one.forms.size() == 1) {
      one.phrases.emplace_back(text.substr(term.begin, term.end - term.begin));
    } else {
      one.phrases = one.forms;
    }
    one.run = run;
    question.terms.push_back(std::move(one));
  }

  void ReadSpaced(std::string_view text) {
    for (const catalog::Term& term : catalog::Terms(text)) {
      const std::string word = FoldWord(text.substr(term.begin, term.end - term.begin));
      if (IsPictureWord(word)) question.wants_pictures = true;
      if (word == "who" || word == "whom") asked_at = term.begin;
      if (IsStopWord(word) || IsStopWord(term.text) || IsPictureWord(word)) continue;
      const size_t before = question.terms.size();
      Add(term, text, term.begin);
      if (question.terms.size() > before && NamesKind(question.wants, word)) {
        question.terms.back().kind = true;
      }
      if (question.terms.size() > before) question.terms.back().hours = NamesHours(word);
      if (!question.words.empty()) question.words += ' ';
      question.words += text.substr(term.begin, term.end - term.begin);
    }
  }

  void ReadChinese(std::string_view text) {
    // What is asked with becomes a space, which ends a run.
    std::string rest;
    for (size_t at = 0; at < text.size();) {
      const auto& asking = ChineseAskingWords();
      const auto found = std::find_if(asking.begin(), asking.end(), [&](const std::string& word) {
        return text.substr(at).starts_with(word);
      });
      if (found != asking.end()) {
        static const std::unordered_set<std::string> kWhat = {
            "谁",   "哪位", "什么", "多少",   "多少钱",   "几个",    "几",     "几点",
            "哪里", "哪儿", "哪年", "哪一年", "什么时候", "为什么",  "怎么",   "如何",
            "多久", "多长", "多高", "多大",   "多重",     "哪天",    "哪一天", "什么地方",
            "多远", "哪种", "哪个", "哪些",   "哪家",     "多长时间"};
        if (!asked_at && kWhat.contains(*found)) asked_at = rest.size();
        rest += ' ';
        at += found->size();
      } else {
        rest += text[at++];
      }
    }
    for (std::string_view picture : {"图片", "照片", "图像"}) {
      for (size_t at = rest.find(picture); at != std::string::npos; at = rest.find(picture)) {
        question.wants_pictures = true;
        rest.replace(at, picture.size(), " ");
      }
    }
    for (const WordSpan& word : SplitWords(rest)) {
      const std::string_view text_run =
          std::string_view(rest).substr(word.begin, word.end - word.begin);
      std::vector<catalog::Term> terms = catalog::Terms(text_run);
      // The last of a run's terms is its last character, which says little beside the pairs.
      if (word.cjk && terms.size() > 1) terms.pop_back();
      const bool alone = word.cjk && SplitCharacters(text_run).size() == 1;
      run = word.cjk ? ++runs : 0;
      for (const catalog::Term& term : terms) {
        if (!word.cjk && IsStopWord(term.text)) continue;
        Add(term, text_run, word.begin + term.begin);
        if (!question.terms.empty() && question.terms.back().forms.front() == term.text) {
          question.terms.back().kind = NamesKind(question.wants, term.text);
          question.terms.back().hours = NamesHours(term.text);
        }
        // A single character is in many words that have nothing to do with it.
        if (alone && !question.terms.empty()) question.terms.back().weight = 0.6;
      }
      if (!question.words.empty()) question.words += ' ';
      question.words += text_run;
    }
    if (!question.terms.empty()) return;
    for (const catalog::Term& term : catalog::Terms(rest)) Add(term, rest, term.begin);
  }
};

}  // namespace

std::vector<std::string> FormsOf(const std::string& term) {
  const auto found = Irregular().find(term);
  return found == Irregular().end() ? std::vector<std::string>{term} : found->second;
}

void AddMeanings(const embedding::ChineseDictionary& dictionary, Question* question) {
  constexpr size_t kSynonymsMax = 64;
  const std::vector<std::string> words = dictionary.Words(question->words);
  const auto synonyms = dictionary.Synonyms(words, kSynonymsMax);
  const auto for_each_term = [&](std::string_view text, const auto& change) {
    for (QueryTerm& term : question->terms) {
      if (term.run != 0 && term.forms.front() == text) change(term);
    }
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const std::vector<std::string_view> characters = SplitCharacters(words[i]);
    const auto add = [&](QueryTerm& term) {
      term.seam = false;
      term.synonyms = synonyms[i];
      term.english.clear();
      for (const std::string_view gloss : dictionary.Glosses(words[i])) {
        auto& stems = term.english.emplace_back();
        for (const catalog::Term& stem : catalog::Terms(gloss)) stems.push_back(stem.text);
      }
    };
    // Where this word and the one before it meet; two words of one character may be an unknown one.
    if (i > 0) {
      const std::vector<std::string_view> before = SplitCharacters(words[i - 1]);
      if (before.size() > 1 || characters.size() > 1) {
        for_each_term(std::string(before.back()) + std::string(characters.front()),
                      [](QueryTerm& term) { term.seam = term.english.empty(); });
      } else {
        // No term has the second alone.
        for_each_term(words[i - 1] + words[i], [&](QueryTerm& term) {
          if (term.english.empty()) term.synonyms = synonyms[i];
        });
      }
    }
    if (characters.size() == 1) for_each_term(words[i], add);
    for (size_t at = 0; at + 1 < characters.size(); ++at) {
      for_each_term(std::string(characters[at]) + std::string(characters[at + 1]), add);
    }
  }
}

Result<Question> ReadQuestion(std::string_view text) {
  text = Trim(text);
  if (text.empty()) return Error{Code::kInvalid, "question: is empty"};
  if (text.size() > kQuestionBytesMax) {
    return Error{Code::kInvalid,
                 "question: longer than " + std::to_string(kQuestionBytesMax) + " bytes"};
  }
  if (!IsUtf8(text)) return Error{Code::kInvalid, "question: not UTF-8"};
  Reader reader;
  reader.question.text = text;
  for (const char32_t point : ToCodePoints(text)) reader.question.chinese |= IsHanPoint(point);
  if (reader.question.chinese) {
    reader.question.wants = ChineseWants(text);
    reader.ReadChinese(text);
    reader.WeighChinese();
  } else {
    for (const WordSpan& word : SplitWords(text)) {
      reader.words.push_back(FoldWord(text.substr(word.begin, word.end - word.begin)));
      reader.word_begins.push_back(word.begin);
    }
    reader.question.wants = EnglishWants(reader.words);
    reader.ReadSpaced(text);
    // Of a question of stop words alone ("who are you"), all words count.
    if (reader.question.terms.empty()) {
      for (const catalog::Term& term : catalog::Terms(text)) {
        reader.Add(term, text, term.begin);
      }
    }
    reader.WeighEnglish();
  }
  if (reader.question.words.empty()) reader.question.words = text;
  return reader.question;
}

}  // namespace msearch::answer
