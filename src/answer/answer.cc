#include "answer/answer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/strings.h"
#include "catalog/words.h"

namespace msearch::answer {
namespace {

constexpr size_t kQuoteBytesMax = 600;

double Rounded(double value) { return std::round(value * 1000) / 1000; }

// What opens the place: a page in a document, a moment in a recording.
std::string UrlOf(const Passage& passage) {
  std::string url = "/api/media/" + std::to_string(passage.media_id) + "/content";
  if (passage.page) return url + "#page=" + std::to_string(*passage.page);
  if (!passage.start_time) return url;
  url += "#t=" + std::to_string(static_cast<int64_t>(*passage.start_time));
  if (passage.end_time) url += "," + std::to_string(static_cast<int64_t>(*passage.end_time) + 1);
  return url;
}

Json CitationsJson(const std::vector<Citation>& citations) {
  Json list = Json::array();
  for (const Citation& citation : citations) {
    Json json = ToJson(citation.passage);
    json["number"] = list.size() + 1;
    json["quote"] = SanitizeUtf8(TruncateUtf8(citation.quote, kQuoteBytesMax));
    json["url"] = UrlOf(citation.passage);
    if (!citation.box.empty()) json["box"] = citation.box;
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

Citation Cite(const Passage& passage, const std::string& quote) {
  Citation citation{passage, quote, {}};
  std::set<std::string> quoted;
  for (catalog::Term& term : catalog::Terms(quote)) quoted.insert(std::move(term.text));
  auto stands_in = [&](const Passage::Box& box) {
    size_t common = 0;
    const auto terms = catalog::Terms(box.text);
    for (const catalog::Term& term : terms) common += quoted.contains(term.text) ? 1 : 0;
    return 2 * common > terms.size();
  };
  const bool any = std::any_of(passage.boxes.begin(), passage.boxes.end(), stands_in);
  double left = 1, top = 1, right = 0, lower = 0;
  for (const Passage::Box& box : passage.boxes) {
    if (any && !stands_in(box)) continue;
    left = std::min(left, box.place[0]);
    top = std::min(top, box.place[1]);
    right = std::max(right, box.place[0] + box.place[2]);
    lower = std::max(lower, box.place[1] + box.place[3]);
  }
  if (right > left) {
    citation.box = {Rounded(left), Rounded(top), Rounded(right - left), Rounded(lower - top)};
  }
  return citation;
}

Json ToJson(const Passage& passage) {
  Json json{{"media_id", passage.media_id},
            {"segment_id", passage.segment_id},
            {"segment_index", passage.segment_index},
            {"type", passage.type},
            {"root", passage.root},
            {"path", passage.path}};
  if (!passage.kind.empty()) json["kind"] = passage.kind;
  if (passage.start_time) json["start_time"] = *passage.start_time;
  if (passage.end_time) json["end_time"] = *passage.end_time;
  if (passage.page) json["page"] = *passage.page;
  return json;
}

Json ToJson(const Answer& answer, const Question& question) {
  Json json{{"question", question.text},
            {"answer", SanitizeUtf8(answer.text)},
            {"mode", answer.mode},
            {"found", answer.found},
            {"confidence", Rounded(answer.confidence)},
            {"claims", Json::array()},
            {"citations", CitationsJson(answer.citations)}};
  for (const Claim& claim : answer.claims) {
    json["claims"].push_back({{"text", SanitizeUtf8(claim.text)}, {"citations", claim.citations}});
  }
  if (!answer.found) json["nearest"] = CitationsJson(answer.nearest);
  if (!answer.notice.empty()) json["notice"] = SanitizeUtf8(answer.notice);
  if (!answer.model.empty()) json["model"] = answer.model;
  return json;
}

Passage PassageFromJson(const Json& json) {
  Passage passage;
  if (!json.is_object()) return passage;
  passage.media_id = GetInt(json, "media_id").value_or(0);
  passage.segment_id = GetInt(json, "segment_id").value_or(0);
  passage.segment_index = static_cast<uint32_t>(GetInt(json, "segment_index").value_or(0));
  passage.type = GetString(json, "type").value_or("");
  passage.kind = GetString(json, "kind").value_or("");
  passage.root = GetString(json, "root").value_or("");
  passage.path = GetString(json, "path").value_or("");
  passage.text = GetString(json, "text").value_or("");
  passage.start_time = GetDouble(json, "start_time");
  passage.end_time = GetDouble(json, "end_time");
  passage.page = GetInt(json, "page");
  for (const Json& box : json.value("boxes", Json::array())) {
    const Json place = box.is_object() ? box.value("box", Json()) : Json();
    if (!place.is_array() || place.size() != 4) continue;
    Passage::Box one{GetString(box, "text").value_or(""), {}};
    for (const Json& value : place)
      one.place.push_back(value.is_number() ? value.get<double>() : 0);
    passage.boxes.push_back(std::move(one));
  }
  passage.words = GetDouble(json, "words").value_or(0);
  passage.meaning = GetDouble(json, "meaning").value_or(0);
  passage.strong = GetBool(json, "strong").value_or(false);
  for (const Json& label : json.value("labels", Json::array())) {
    passage.labels.push_back(
        {GetString(label, "label").value_or(""), GetDouble(label, "probability").value_or(0)});
  }
  return passage;
}

std::string NotInLibrary(const Question& question) {
  return question.chinese ? "你的资料库里没有找到答案。" : "This is not in your library.";
}

}  // namespace msearch::answer
