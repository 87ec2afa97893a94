#include "answer/wanted.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "base/strings.h"
#include "catalog/words.h"

namespace msearch::answer {
namespace {

using Words = std::unordered_set<std::string>;

bool Has(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  });
}

// As the catalog stems them.
Words Stems(std::initializer_list<const char*> words) {
  Words stems;
  for (const char* word : words) {
    for (const catalog::Term& term : catalog::Terms(word)) stems.insert(term.text);
  }
  return stems;
}

bool HasAny(const std::set<std::string>& terms, const Words& words) {
  return std::any_of(terms.begin(), terms.end(),
                     [&](const std::string& term) { return words.contains(term); });
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool HasDigit(std::string_view text) { return std::any_of(text.begin(), text.end(), IsDigit); }

bool HasNumber(std::string_view text, const std::set<std::string>& terms) {
  static const Words kNumbers = Stems(
      {"one",       "two",      "three",    "four",    "five",     "six",      "seven",   "eight",
       "nine",      "ten",      "eleven",   "twelve",  "thirteen", "fourteen", "fifteen", "sixteen",
       "seventeen", "eighteen", "nineteen", "dozen",   "twenty",   "thirty",   "forty",   "fifty",
       "sixty",     "seventy",  "eighty",   "ninety",  "hundred",  "thousand", "million", "half",
       "twice",     "once",     "none",     "several", "both"});
  return HasDigit(text) || HasAny(terms, kNumbers) ||
         Has(text, {"一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "百", "千", "万",
                    "亿", "两", "半"});
}

bool HasDuration(std::string_view text, const std::set<std::string>& terms) {
  static const Words kDurations =
      Stems({"second", "minute", "hour", "day", "night", "week", "month", "year", "decade",
             "century", "while", "forever", "until"});
  return HasAny(terms, kDurations) ||
         (HasNumber(text, terms) &&
          Has(text, {"秒", "分钟", "小时", "钟头", "天", "周", "星期", "月", "年", "夜"}));
}

// A year, a time of day or a day of a month: "1911", "7.40", "06:15", "7 pm", "24th".
bool HasTimeInDigits(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    if (!IsDigit(text[at])) continue;
    size_t end = at;
    while (end < text.size() && IsDigit(text[end])) ++end;
    const size_t digits = end - at;
    if (digits == 4 && (text[at] == '1' || text[at] == '2')) return true;
    const std::string_view rest = text.substr(end);
    const bool minutes = rest.size() > 2 && (rest[0] == ':' || rest[0] == '.') &&
                         IsDigit(rest[1]) && IsDigit(rest[2]) &&
                         (rest.size() == 3 || !IsDigit(rest[3]));
    if (digits <= 2 && minutes) return true;
    for (std::string_view end_of_day :
         {" am", " pm", "am", "pm", " a.m", " p.m", "th", "st", "nd", "rd", " o'clock", "h"}) {
      if (digits <= 2 && rest.starts_with(end_of_day)) return true;
    }
    at = end;
  }
  return false;
}

// "10 pm", "18:00"
bool StartsWithClock(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && IsDigit(text[digits])) ++digits;
  constexpr size_t kLongest = 8;
  return (digits == 1 || digits == 2) && HasTimeInDigits(text.substr(0, kLongest));
}

// "6 am", "8:30", "8"
bool EndsLikeClock(std::string_view text) {
  if (text.empty()) return false;
  if (IsDigit(text.back())) return true;
  for (std::string_view half : {"am", "pm", "a.m.", "p.m."}) {
    if (!text.ends_with(half)) continue;
    const std::string_view before = Trim(text.substr(0, text.size() - half.size()));
    return !before.empty() && IsDigit(before.back());
  }
  return false;
}

bool HasTime(std::string_view text, const std::set<std::string>& terms) {
  static const Words kTimes =
      Stems({"january",   "february",  "march",     "april",    "may",      "june",     "july",
             "august",    "september", "october",   "november", "december", "monday",   "tuesday",
             "wednesday", "thursday",  "friday",    "saturday", "sunday",   "spring",   "summer",
             "autumn",    "winter",    "morning",   "evening",  "noon",     "midnight", "yesterday",
             "today",     "tomorrow",  "century",   "after",    "before",   "during",   "until",
             "o'clock",   "clock",     "christmas", "easter",   "ago"});
  // "for three years" and "in a week" tell a time, too.
  return HasTimeInDigits(text) || HasAny(terms, kTimes) ||
         (HasNumber(text, terms) && HasDuration(text, terms)) ||
         Has(text, {"年", "月", "日", "星期", "周", "点", "春", "夏", "秋", "冬", "早上", "晚上",
                    "上午", "下午", "昨天", "今天", "明天"});
}

bool HasMoney(std::string_view text, const std::set<std::string>& terms) {
  static const Words kMoney = Stems({"pound", "euro", "dollar", "cent", "penny", "pence", "franc",
                                     "yuan", "eur", "usd", "gbp", "cost", "price"});
  static const Words kFree = Stems({"free"});
  if (HasAny(terms, kFree) || Has(text, {"免费"})) return true;
  return HasNumber(text, terms) &&
         (HasAny(terms, kMoney) || Has(text, {"£", "€", "$", "¥", "￥", "元", "块钱"}));
}

bool HasLength(std::string_view text, const std::set<std::string>& terms) {
  static const Words kLengths =
      Stems({"metre", "meter", "kilometre", "kilometer", "centimetre", "centimeter", "millimetre",
             "millimeter", "mile", "foot", "feet", "inch", "inches", "yard", "km", "cm", "mm", "m",
             "ft"});
  return HasNumber(text, terms) &&
         (HasAny(terms, kLengths) || Has(text, {"米", "公里", "里", "尺", "丈", "寸"}));
}

bool HasFrequency(std::string_view text, const std::set<std::string>& terms) {
  static const Words kFrequencies =
      Stems({"every", "each", "once", "twice", "times", "daily", "weekly", "monthly", "yearly",
             "annually", "hourly", "per", "always", "never", "rarely", "seldom", "often"});
  return HasAny(terms, kFrequencies) ||
         Has(text, {"每", "次", " a day", " a week", " a month", " a year", "an hour"});
}

bool HasTemperature(std::string_view text, const std::set<std::string>& terms) {
  static const Words kDegrees = Stems({"degree", "celsius", "fahrenheit", "freezing"});
  return Has(text, {"°", "℃"}) ||
         (HasNumber(text, terms) && (HasAny(terms, kDegrees) || Has(text, {"度"})));
}

bool HasWeight(std::string_view text, const std::set<std::string>& terms) {
  static const Words kWeights = Stems({"kilo", "kilogram", "kilogramme", "gram", "gramme", "kg",
                                       "g", "mg", "ton", "tonne", "pound", "lb", "ounce", "stone"});
  return HasNumber(text, terms) &&
         (HasAny(terms, kWeights) || Has(text, {"公斤", "千克", "克", "斤", "吨", "两"}));
}

bool HasSpeed(std::string_view text, const std::set<std::string>& terms) {
  static const Words kSpeeds = Stems({"mph", "kmh", "knot", "speed"});
  return HasNumber(text, terms) &&
         (HasAny(terms, kSpeeds) ||
          Has(text, {"km/h", " an hour", " per hour", " a minute", " a second", "per second",
                     "每小时", "时速", "每秒", "每分钟"}));
}

bool HasColour(std::string_view text, const std::set<std::string>& terms) {
  static const Words kColours =
      Stems({"red", "green", "blue", "yellow", "orange", "purple", "violet", "pink", "brown",
             "black", "white", "grey", "gray", "golden", "silver", "beige", "colour", "color"});
  return HasAny(terms, kColours) || Has(text, {"色", "红", "黄", "蓝", "绿", "白", "黑", "紫"});
}

bool HasAge(std::string_view text, const std::set<std::string>& terms) {
  static const Words kAges = Stems({"old", "age", "aged", "year", "month", "born", "built"});
  return HasNumber(text, terms) && (HasAny(terms, kAges) || Has(text, {"岁", "年", "建"}));
}

bool HasReason(std::string_view text, const std::set<std::string>& terms) {
  static const Words kReasons = Stems({"because", "due", "since", "therefore", "reason", "cause"});
  return HasAny(terms, kReasons) ||
         Has(text, {" so that ", " so ", " to ", " for ", " as ", "因", "由于", "所以", "为了",
                    "原因", "使", "导致", "以免"});
}

bool HasPlace(std::string_view text, const std::set<std::string>& terms) {
  static const Words kPlaces =
      Stems({"in",      "at",     "on",       "near", "to",     "from",    "behind", "under",
             "beside",  "inside", "above",    "next", "around", "between", "into",   "below",
             "outside", "along",  "opposite", "here", "there",  "through"});
  return HasAny(terms, kPlaces) || Has(text, {"在", "于", "到", "位", "里", "边", "从", "处"});
}

// "how" and the word behind it.
Wants HowWants(const std::string& next, const std::vector<std::string>& words) {
  static const std::map<std::string, Wants> kKinds = {
      {"many", Wants::kNumber},      {"long", Wants::kExtent},
      {"often", Wants::kFrequency},  {"frequently", Wants::kFrequency},
      {"old", Wants::kAge},          {"heavy", Wants::kWeight},
      {"cold", Wants::kTemperature}, {"hot", Wants::kTemperature},
      {"warm", Wants::kTemperature}, {"tall", Wants::kLength},
      {"high", Wants::kLength},      {"deep", Wants::kLength},
      {"far", Wants::kLength},       {"wide", Wants::kLength},
      {"thick", Wants::kLength},     {"big", Wants::kNumber},
      {"fast", Wants::kSpeed},       {"large", Wants::kNumber},
      {"late", Wants::kTime},        {"early", Wants::kTime}};
  if (next == "much") {
    static const Words kCosts = {"cost",  "costs",  "pay",   "pays",  "paid",
                                 "price", "charge", "worth", "sell",  "sold",
                                 "buy",   "bought", "spend", "spent", "earn"};
    const bool money = std::any_of(words.begin(), words.end(),
                                   [](const std::string& word) { return kCosts.contains(word); });
    return money ? Wants::kMoney : Wants::kNumber;
  }
  const auto found = kKinds.find(next);
  return found == kKinds.end() ? Wants::kAnything : found->second;
}

}  // namespace

Wants EnglishWants(const std::vector<std::string>& words) {
  static const Words kTimes = {"year", "day", "date", "time", "month"};
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const std::string next = i + 1 < words.size() ? words[i + 1] : "";
    if (word == "who" || word == "whom" || word == "whose") return Wants::kPerson;
    if (word == "when") return Wants::kTime;
    if (word == "where") return Wants::kPlace;
    if (word == "why") return Wants::kReason;
    if (word == "how") return HowWants(next, words);
    if (word != "what" && word != "which") continue;
    for (const std::string& other : words) {
      if (other == "cost" || other == "costs" || other == "price") return Wants::kMoney;
      if (other == "temperature") return Wants::kTemperature;
      if (other == "colour" || other == "color") return Wants::kColour;
    }
    return kTimes.contains(next) ? Wants::kTime : Wants::kAnything;
  }
  return Wants::kAnything;
}

Wants ChineseWants(std::string_view text) {
  if (Has(text, {"什么时候", "什么时间", "哪一年", "哪年", "哪天", "哪一天", "几点", "几月", "何时",
                 "几号", "星期几", "周几"})) {
    return Wants::kTime;
  }
  if (Has(text, {"多少钱", "多少元", "价格", "费用"})) return Wants::kMoney;
  if (Has(text, {"多长时间", "多久", "多少时间"})) return Wants::kDuration;
  if (Has(text, {"多高", "多远", "多深", "多宽", "全长"})) return Wants::kLength;
  if (Has(text, {"多重"})) return Wants::kWeight;
  if (Has(text, {"什么颜色", "哪种颜色"})) return Wants::kColour;
  if (Has(text, {"多快"})) return Wants::kSpeed;
  if (Has(text, {"多少度"})) return Wants::kNumber;
  if (Has(text, {"多少", "几", "多长", "多大"})) return Wants::kNumber;
  if (Has(text, {"谁", "哪位", "什么人"})) return Wants::kPerson;
  if (Has(text, {"哪里", "哪儿", "什么地方", "何处", "在哪"})) return Wants::kPlace;
  if (Has(text, {"为什么", "为何", "原因"})) return Wants::kReason;
  return Wants::kAnything;
}

bool NamesKind(Wants wants, const std::string& word) {
  static const std::map<Wants, Words> kNames = {
      {Wants::kTime, {"time", "date", "year", "day", "month", "hour", "late", "early"}},
      {Wants::kMoney, {"cost", "costs", "price", "much", "费用", "价格", "交", "付", "缴", "花"}},
      {Wants::kLength,
       {"tall", "high", "deep", "far", "wide", "thick", "height", "length", "long", "distance"}},
      {Wants::kExtent, {"long", "length", "duration", "time"}},
      {Wants::kFrequency, {"often", "frequently"}},
      {Wants::kTemperature, {"cold", "hot", "warm", "temperature"}},
      {Wants::kWeight, {"heavy", "weight", "weigh"}},
      {Wants::kAge, {"old", "age"}},
      {Wants::kSpeed, {"fast", "speed"}},
      {Wants::kColour, {"colour", "color", "colours", "colors", "颜色"}},
      {Wants::kReason, {"reason", "cause"}},
      {Wants::kPlace, {"place", "seen", "found", "located", "situated"}},
      {Wants::kNumber, {"number", "big", "large"}}};
  const auto found = kNames.find(wants);
  return found != kNames.end() && found->second.contains(word);
}

bool NamesHours(const std::string& word) {
  static const Words kHours = {"open", "opens", "close", "closes", "closed", "shut", "shuts",
                               "开门", "关门",  "营业",  "打烊",   "开放",   "开馆", "闭馆"};
  return kHours.contains(word);
}

bool HasHours(std::string_view text) {
  for (std::string_view to : {" to ", " until ", " till ", "-", "–", "—"}) {
    for (size_t at = text.find(to); at != std::string_view::npos; at = text.find(to, at + 1)) {
      const std::string_view before = Trim(text.substr(0, at));
      const std::string_view after = Trim(text.substr(at + to.size()));
      if (StartsWithClock(after) && EndsLikeClock(before)) return true;
    }
  }
  constexpr std::string_view kClock = "点";
  constexpr size_t kApartMax = 30;
  for (size_t at = text.find(kClock); at != std::string_view::npos;) {
    const size_t next = text.find(kClock, at + kClock.size());
    if (next == std::string_view::npos) return false;
    const std::string_view between = text.substr(at, next - at);
    if (between.size() <= kApartMax && Has(between, {"到", "至", "-", "–", "—", "~"})) return true;
    at = next;
  }
  return false;
}

bool HasKind(Wants wants, std::string_view text, const std::set<std::string>& terms) {
  switch (wants) {
    case Wants::kNumber:
      return HasNumber(text, terms);
    case Wants::kMoney:
      return HasMoney(text, terms);
    case Wants::kLength:
      return HasLength(text, terms);
    case Wants::kDuration:
      return HasDuration(text, terms);
    case Wants::kExtent:
      return HasLength(text, terms) || HasDuration(text, terms);
    case Wants::kFrequency:
      return HasFrequency(text, terms);
    case Wants::kTemperature:
      return HasTemperature(text, terms);
    case Wants::kWeight:
      return HasWeight(text, terms);
    case Wants::kSpeed:
      return HasSpeed(text, terms);
    case Wants::kColour:
      return HasColour(text, terms);
    case Wants::kAge:
      return HasAge(text, terms);
    case Wants::kTime:
      return HasTime(text, terms);
    case Wants::kPlace:
      return HasPlace(text, terms);
    case Wants::kReason:
      return HasReason(text, terms);
    case Wants::kPerson:
    case Wants::kAnything:
      return true;
  }
  return true;
}

}  // namespace msearch::answer
