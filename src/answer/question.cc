#include "answer/question.h"

#include <algorithm>
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
      "a",       "about",     "all",       "also",  "am",        "an",       "and",     "any",
      "are",     "as",        "at",        "be",    "been",      "being",    "but",     "by",
      "can",     "could",     "did",       "do",    "does",      "done",     "each",    "every",
      "find",    "for",       "from",      "give",  "had",       "has",      "have",    "he",
      "her",     "here",      "him",       "his",   "how",       "i",        "if",      "in",
      "into",    "is",        "it",        "its",   "just",      "kind",     "know",    "let",
      "list",    "many",      "may",       "me",    "might",     "mine",     "much",    "must",
      "my",      "of",        "off",       "on",    "one",       "or",       "our",     "out",
      "please",  "say",       "says",      "said",  "shall",     "she",      "should",  "show",
      "so",      "some",      "sort",      "such",  "tell",      "than",     "that",    "the",
      "their",   "them",      "then",      "there", "these",     "they",     "this",    "those",
      "to",      "type",      "us",        "was",   "we",        "were",     "what",    "when",
      "where",   "which",     "who",       "whom",  "whose",     "why",      "will",    "with",
      "would",   "you",       "your",      "yours", "shown",     "depict",   "contain", "too",
      "get",     "got",       "name",      "call",  "according", "anything", "ever",    "exactly",
      "mention", "mentioned", "something", "upon"};
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

bool Has(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  });
}

Wants ChineseWants(std::string_view text) {
  if (Has(text, {"什么时候", "什么时间", "哪一年", "哪年", "哪天", "哪一天", "几点", "几月", "何时",
                 "几号", "星期几", "周几"})) {
    return Wants::kTime;
  }
  if (Has(text, {"多少钱", "多少元", "价格", "费用"})) return Wants::kMoney;
  if (Has(text, {"多高", "多远", "多深", "多宽", "全长"})) return Wants::kLength;
  if (Has(text, {"多少", "几", "多久", "多长", "多大", "多重"})) return Wants::kNumber;
  if (Has(text, {"谁", "哪位", "什么人"})) return Wants::kPerson;
  if (Has(text, {"哪里", "哪儿", "什么地方", "何处", "在哪"})) return Wants::kPlace;
  if (Has(text, {"为什么", "为何", "原因"})) return Wants::kReason;
  return Wants::kAnything;
}

// By the first asking word that decides.
Wants EnglishWants(const std::vector<std::string>& words) {
  static const std::unordered_set<std::string> kMeasures = {
      "many", "long", "old", "often", "big", "fast", "heavy", "large", "hot", "cold"};
  static const std::unordered_set<std::string> kLengths = {"tall", "high", "deep",
                                                           "far",  "wide", "thick"};
  static const std::unordered_set<std::string> kTimes = {"year", "day", "date", "time", "month"};
  auto has = [&](std::initializer_list<const char*> wanted) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const char* word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    });
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const std::string next = i + 1 < words.size() ? words[i + 1] : "";
    if (word == "who" || word == "whom" || word == "whose") return Wants::kPerson;
    if (word == "when") return Wants::kTime;
    if (word == "where") return Wants::kPlace;
    if (word == "why") return Wants::kReason;
    if (word == "how") {
      if (next == "much" && has({"cost", "pay", "paid", "price", "charge", "worth"})) {
        return Wants::kMoney;
      }
      if (kLengths.contains(next)) return Wants::kLength;
      return next == "much" || kMeasures.contains(next) ? Wants::kNumber : Wants::kAnything;
    }
    if (word == "what" || word == "which") {
      if (has({"cost", "price"})) return Wants::kMoney;
      return kTimes.contains(next) ? Wants::kTime : Wants::kAnything;
    }
  }
  return Wants::kAnything;
}

// One line for each verb: its forms, stemmed as the catalog stems them where they're regular.
const std::map<std::string, std::vector<std::string>>& Irregular() {
  static const auto kForms = [] {
    const std::vector<std::vector<std::string>> kVerbs = {{"be", "was", "were", "been"},
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
      std::vector<std::string> stems;
      for (const std::string& form : verb) {
        const auto terms = catalog::Terms(form);
        if (!terms.empty()) stems.push_back(terms[0].text);
      }
      for (const std::string& stem : stems) forms[stem] = stems;
    }
    return forms;
  }();
  return kForms;
}

struct Reader {
  Question question;
  std::vector<std::string> seen;
  std::vector<size_t> places;      // of the terms
  std::optional<size_t> asked_at;  // "who", "谁"

  // What follows the asking word is what is asked ("who painted ..."); else what goes before it
  // ("... 的馆长是谁").
  void WeighAsked() {
    constexpr double kAsked = 1.6;
    if (!asked_at || question.terms.empty()) return;
    size_t best = 0;
    for (size_t i = 0; i < places.size(); ++i) {
      best = i;
      if (places[i] >= *asked_at) break;
    }
    question.terms[best].weight = kAsked;
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
    question.terms.push_back(std::move(one));
  }

  void ReadSpaced(std::string_view text) {
    for (const catalog::Term& term : catalog::Terms(text)) {
      const std::string word = FoldWord(text.substr(term.begin, term.end - term.begin));
      if (IsPictureWord(word)) question.wants_pictures = true;
      if (word == "who" || word == "whom") asked_at = term.begin;
      if (IsStopWord(word) || IsStopWord(term.text) || IsPictureWord(word)) continue;
      Add(term, text, term.begin);
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
        if (*found == "谁" || *found == "哪位") asked_at = rest.size();
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
      const std::string_view run = std::string_view(rest).substr(word.begin, word.end - word.begin);
      std::vector<catalog::Term> terms = catalog::Terms(run);
      // The last of a run's terms is its last character, which says little beside the pairs.
      if (word.cjk && terms.size() > 1) terms.pop_back();
      const bool alone = word.cjk && SplitCharacters(run).size() == 1;
      for (const catalog::Term& term : terms) {
        if (!word.cjk && IsStopWord(term.text)) continue;
        Add(term, run, word.begin + term.begin);
        // A single character is in many words that have nothing to do with it.
        if (alone && !question.terms.empty()) question.terms.back().weight = 0.6;
      }
      if (!question.words.empty()) question.words += ' ';
      question.words += run;
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
  } else {
    std::vector<std::string> words;
    for (const WordSpan& word : SplitWords(text)) {
      words.push_back(FoldWord(text.substr(word.begin, word.end - word.begin)));
    }
    reader.question.wants = EnglishWants(words);
    reader.ReadSpaced(text);
    // Of a question of stop words alone ("who are you"), all words count.
    if (reader.question.terms.empty()) {
      for (const catalog::Term& term : catalog::Terms(text)) {
        reader.Add(term, text, term.begin);
      }
    }
  }
  if (reader.question.wants == Wants::kPerson) reader.WeighAsked();
  if (reader.question.words.empty()) reader.question.words = text;
  return reader.question;
}

}  // namespace msearch::answer
