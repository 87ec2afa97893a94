#include <fcntl.h>

#include <cmath>

#include "api/route_table.h"
#include "base/log.h"
#include "base/strings.h"

namespace msearch::api {
namespace {

// What a query shows or plays: a media file of the library, or an opened file.
struct Example {
  std::optional<catalog::MediaId> media;
  Fd file;
  std::string name;
};

Shape ExampleShape() {
  return {{"media_id", Type::kId, "of the library"},
          {"path", Type::kText, "a file inside a root"},
          {"base64", Type::kText, "the file's bytes"}};
}

const Shape kSearch{
    Field{"query", Type::kText, "words"}.OrNull(),
    Field{"image", Type::kObject, "a picture to search by: one of these"}.OrNull().Of(
        ExampleShape()),
    Field{"audio", Type::kObject, "a sound to search by: one of these"}.OrNull().Of(ExampleShape()),
    Field{"video", Type::kAny, "searching by it isn't supported yet"}.OrNull(),
    Field{"filters", Type::kObject, ""}.OrNull().Of(FilterShape()),
    Field{"limit", Type::kInteger, "media files, 1 to 1000"}.From(0),
    Field{"offset", Type::kInteger, "media files to skip"}.From(0)};

Result<Example> ExampleFromJson(const Context& context, const Json& json, const std::string& key) {
  if (json.size() != 1) {
    return Error{Code::kInvalid, key + ": exactly one of media_id, path and base64 is expected"};
  }
  Example example;
  example.name = key;
  if (json.contains("media_id")) {
    const Json& id = json["media_id"];
    example.media = id.is_string()
                        ? std::strtoll(id.get_ref<const std::string&>().c_str(), nullptr, 10)
                        : id.get<int64_t>();
    TRY(context.catalog->GetMedia(*example.media));
    return example;
  }
  if (const auto path = GetString(json, "path")) {
    example.file = TRY(OpenInsideRoot(*context.catalog, *path));
    example.name = *path;
    return example;
  }
  const auto bytes = Base64Decode(GetString(json, "base64").value_or(""));
  if (!bytes) return Error{Code::kInvalid, key + ".base64: not base64"};
  example.file = TRY(MemoryFile(*bytes));
  return example;
}

Result<> TakeExample(const Context& context, const std::string& key, const Example& example,
                     search::Query* query) {
  if (example.media) {
    query->like = example.media;
  } else if (key == "image") {
    query->picture = TRY(context.decode_picture(example.file, example.name));
  } else {
    query->sound = TRY(context.decode_sound(example.file, example.name));
  }
  return Ok{};
}

Result<> Unsupported(bool present, const std::string& what) {
  if (present) return Error{Code::kUnsupported, what + ": searching by it isn't supported yet"};
  return Ok{};
}

// REQUIRES: of the shape kSearch.
Result<> QueryFromJson(const Context& context, const Json& json, search::Query* query) {
  TRY(Unsupported(json.contains("video") && !json["video"].is_null(), "video"));
  query->words = GetString(json, "query").value_or("");
  if (const auto limit = GetInt(json, "limit")) query->limit = static_cast<size_t>(*limit);
  if (const auto offset = GetInt(json, "offset")) query->offset = static_cast<size_t>(*offset);
  if (json.contains("filters") && !json["filters"].is_null()) {
    query->filters = TRY(FiltersFromJson(json["filters"]));
  }
  for (const char* key : {"image", "audio"}) {
    if (!json.contains(key) || json[key].is_null()) continue;
    TRY(TakeExample(context, key, TRY(ExampleFromJson(context, json[key], key)), query));
  }
  return Ok{};
}

Result<> QueryFromForm(const Context& context, const net::Request& request, search::Query* query) {
  Json json = Json::object();
  std::vector<const net::FormField*> examples;
  for (const net::FormField& field : request.form) {
    if (field.name == "image" || field.name == "audio") {
      examples.push_back(&field);
    } else if (field.name == "filters" || field.name == "limit" || field.name == "offset") {
      json[field.name] = TRY(ParseJson(field.value));
    } else {
      json[field.name] = field.value;
    }
  }
  TRY(CheckShape(json, kSearch, "search"));
  TRY(QueryFromJson(context, json, query));
  for (const net::FormField* field : examples) {
    Example example;
    example.file = field->spooled_path.empty() ? TRY(MemoryFile(field->value))
                                               : TRY(OpenFile(field->spooled_path, O_RDONLY));
    example.name = field->file_name.empty() ? field->name : field->file_name;
    TRY(TakeExample(context, field->name, example, query));
  }
  return Ok{};
}

// The frame of a film's strip that is nearest to the middle of the moment.
Json FrameOf(const catalog::SegmentInfo& segment) {
  if (!segment.start_time || !segment.attributes.contains("strip")) return nullptr;
  const Json& strip = segment.attributes["strip"];
  const Json times = strip.value("times", Json::array());
  const int64_t columns = GetInt(strip, "columns").value_or(0);
  if (times.empty() || columns < 1) return nullptr;
  const double middle = (*segment.start_time + segment.end_time.value_or(*segment.start_time)) / 2;
  size_t nearest = 0;
  double best = INFINITY;
  for (size_t i = 0; i < times.size(); ++i) {
    const double distance = times[i].is_number() ? std::abs(times[i].get<double>() - middle) : best;
    if (distance >= best) continue;
    best = distance;
    nearest = i;
  }
  const auto count = static_cast<int64_t>(times.size());
  return {{"picture", StripUrl(segment.media, segment.hash)},
          {"tile", strip["tile"]},
          {"columns", std::min(columns, count)},
          {"rows", (count + columns - 1) / columns},
          {"index", nearest}};
}

Json HitJson(const search::Hit& hit) {
  const catalog::SegmentInfo& segment = hit.segment;
  Json json{{"segment_id", segment.id},
            {"media_id", segment.media},
            {"type", segment.type},
            {"score", std::round(hit.score * 10000) / 10000},
            {"strength", hit.strong ? "strong" : "weak"},
            {"segment_index", segment.index},
            {"paths", PathsJson(segment.paths)},
            {"reasons", Json::array()}};
  if (!segment.paths.empty()) {
    json["root"] = segment.paths.front().root;
    json["path"] = SanitizeUtf8(segment.paths.front().path);
  }
  for (const search::Reason& reason : hit.reasons) {
    json["reasons"].push_back({{"kind", reason.kind}, {"text", reason.text}});
  }
  if (segment.width > 0) {
    json["width"] = segment.width;
    json["height"] = segment.height;
  }
  if (segment.start_time) json["start_time"] = *segment.start_time;
  if (segment.end_time) json["end_time"] = *segment.end_time;
  if (segment.page) json["page"] = *segment.page;
  json["kind"] = segment.kind;
  if (!hit.boxes.empty()) {
    json["box"] = BoxJson(Around(hit.boxes));
    json["boxes"] = BoxesJson(hit.boxes);
  }
  if (Json frame = FrameOf(segment); !frame.is_null()) json["frame"] = std::move(frame);
  const std::string thumbnail =
      ThumbnailUrl(segment.media, segment.type, segment.hash, segment.attributes);
  json["thumbnail"] = thumbnail.empty() ? Json() : Json(thumbnail);
  return json;
}

Result<Json> RunSearch(const Context& context, const net::Request& request) {
  const auto begin = std::chrono::steady_clock::now();
  search::Query query;
  const std::string type = request.Header("content-type").value_or("");
  if (request.method == "GET") {
    query.words = request.Query("q").value_or(request.Query("query").value_or(""));
    query.limit =
        static_cast<size_t>(TRY(IntParameter(request, "limit", 20, 1, search::kLimitMax)));
    query.offset =
        static_cast<size_t>(TRY(IntParameter(request, "offset", 0, 0, search::kDepthMax)));
    query.filters = TRY(FiltersFromQuery(request));
  } else if (type.starts_with("multipart/form-data")) {
    TRY(QueryFromForm(context, request, &query));
  } else {
    TRY(QueryFromJson(context, TRY(JsonBody(request, kSearch, "search")), &query));
  }
  if (!IsUtf8(query.words)) return Error{Code::kInvalid, "query: not UTF-8"};
  TRY(CheckRoots(*context.catalog, query.filters.roots));
  query.words = Trim(query.words);
  const search::Answer answer =
      TRY(search::Search(*context.catalog, context.engine(), context.sounds(), query));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  Json json{{"hits", Json::array()},
            {"total", answer.total},
            {"nothing_fits", answer.nothing_fits},
            {"took_ms", std::round(took.count() * 100) / 100}};
  if (answer.total_is_bound) json["total_is_bound"] = true;
  if (!answer.notice.empty()) json["notice"] = answer.notice;
  for (const search::Hit& hit : answer.hits) json["hits"].push_back(HitJson(hit));
  return json;
}

Shape SearchAnswer() {
  const Shape hit{
      Field{"segment_id", Type::kInteger, ""}.Required(),
      Field{"media_id", Type::kInteger, ""}.Required(),
      Field{"type", Type::kText, ""}.Required().OneOf({"image", "video", "audio", "document"}),
      {"kind", Type::kText, "of the part that was found"},
      Field{"score", Type::kNumber, "comparable within an answer"}.Required(),
      Field{"strength", Type::kText, ""}.Required().OneOf({"strong", "weak"}),
      {"segment_index", Type::kInteger, ""},
      {"root", Type::kText, "of the first path"},
      {"path", Type::kText, "the first, below its root"},
      {"paths", Type::kObjects, "all files of this content"},
      Field{"reasons", Type::kObjects, "why it was found"}.Of(
          {{"kind", Type::kText, ""}, {"text", Type::kText, ""}}),
      {"width", Type::kInteger, ""},
      {"height", Type::kInteger, ""},
      {"start_time", Type::kNumber, "seconds"},
      {"end_time", Type::kNumber, "seconds"},
      {"page", Type::kInteger, ""},
      {"box", Type::kAny, "[x, y, width, height] of the text that was found"},
      {"boxes", Type::kAny, "the same, of each of its parts"},
      {"frame", Type::kObject, "the moment's frame in the film strip"},
      Field{"thumbnail", Type::kText, "address"}.OrNull()};
  return {Field{"hits", Type::kObjects, "best first"}.Required().Of(hit),
          Field{"total", Type::kInteger, "media files that fit"}.Required(),
          {"total_is_bound", Type::kFlag, "there are at least so many"},
          Field{"nothing_fits", Type::kFlag, "the hits are just the nearest"}.Required(),
          {"notice", Type::kText, "what wasn't done, and why"},
          Field{"took_ms", Type::kNumber, ""}.Required()};
}

const std::vector<Parameter> kFilterParameters{
    {"root", "string", "names of roots, separated by commas"},
    {"type", "string", "image, video, audio, document; separated by commas"},
    {"path_prefix", "string", "beginning of the path below the root"},
    {"date_from", "string", "RFC 3339 time or date, inclusive"},
    {"date_to", "string", "RFC 3339 time, exclusive, or date, inclusive"},
    {"size_min", "integer", "bytes"},
    {"size_max", "integer", "bytes"}};

}  // namespace

void AddSearchRoutes(const Context& context, Table* table) {
  auto handle = [context](const net::Request& request) {
    return Answer(RunSearch(context, request));
  };
  std::vector<Parameter> query{{"q", "string", "words"},
                               {"query", "string", "the same as q"},
                               {"limit", "integer", "media files, 1 to 1000"},
                               {"offset", "integer", "media files to skip"}};
  query.insert(query.end(), kFilterParameters.begin(), kFilterParameters.end());
  table->push_back({.method = "GET",
                    .pattern = "/api/search",
                    .summary = "Search by words",
                    .query = query,
                    .answer = "hits, total, nothing_fits, took_ms",
                    .gives = SearchAnswer(),
                    .handle = handle});
  table->push_back({.method = "POST",
                    .pattern = "/api/search",
                    .summary = "Search by words, by picture, by sound, or by several",
                    .body = "application/json",
                    .takes = kSearch,
                    .files = {"image", "audio"},
                    .answer = "hits, total, nothing_fits, took_ms",
                    .gives = SearchAnswer(),
                    .body_bytes_max = context.upload_bytes_max,
                    .handle = handle});
}

}  // namespace msearch::api
