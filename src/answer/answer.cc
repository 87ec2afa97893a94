#include "answer/answer.h"

#include <cmath>

#include "base/strings.h"

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
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

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
  if (passage.box.is_array()) json["box"] = passage.box;
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
  if (json.contains("box")) passage.box = json["box"];
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
