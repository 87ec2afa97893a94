#include <algorithm>
#include <charconv>

#include "api/route_table.h"
#include "base/log.h"
#include "base/strings.h"

namespace msearch::api {
namespace {

int StatusOf(Code code) {
  switch (code) {
    case Code::kInvalid:
    case Code::kCorrupt:
    case Code::kCancelled:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kConflict:
    case Code::kStale:
      return 409;
    case Code::kPermission:
      return 403;
    case Code::kUnsupported:
      return 415;
    case Code::kTooLarge:
      return 413;
    case Code::kTimeout:
    case Code::kUnavailable:
      return 503;
    case Code::kExhausted:
      return 507;
    case Code::kCrashed:
      return 422;
    case Code::kInternal:
      return 500;
  }
  return 500;
}

std::string_view TitleOf(int status) {
  switch (status) {
    case 400:
      return "Bad request";
    case 401:
      return "Access token needed";
    case 403:
      return "Forbidden";
    case 404:
      return "Not found";
    case 405:
      return "Method not allowed";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Too large";
    case 415:
      return "Not supported";
    case 422:
      return "Can't be processed";
    case 503:
      return "Not available now";
    case 507:
      return "Out of space";
    default:
      return "Internal error";
  }
}

}  // namespace

net::Response Problem(int status, const std::string& code, const std::string& detail) {
  net::Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body = DumpJson({{"type", "about:blank"},
                            {"title", TitleOf(status)},
                            {"status", status},
                            {"detail", detail},
                            {"code", code}});
  if (status == 503 || status == 507) response.headers.emplace("Retry-After", "2");
  return response;
}

net::Response JsonResponse(const Json& json, int status) {
  net::Response response;
  response.status = status;
  response.body = DumpJson(json);
  response.headers.emplace("Cache-Control", "no-store");
  return response;
}

net::Response ErrorResponse(const Error& error) {
  const int status = StatusOf(error.code);
  if (status == 500) LOG_ERROR("request: {}", error.message);
  return Problem(status, std::string(CodeName(error.code)), error.message);
}

net::Response Answer(const Result<Json>& result, int status) {
  return result.ok() ? JsonResponse(*result, status) : ErrorResponse(result.error());
}

Result<int64_t> IntParameter(const net::Request& request, const std::string& name, int64_t fallback,
                             int64_t min, int64_t max) {
  const auto text = request.Query(name);
  if (!text) return fallback;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < min || value > max) {
    return Error{Code::kInvalid,
                 fmt::format("{}: not a whole number between {} and {}", name, min, max)};
  }
  return value;
}

bool FlagParameter(const net::Request& request, const std::string& name) {
  const auto text = request.Query(name);
  return text && *text != "0" && *text != "false";
}

Result<int64_t> IdArgument(const net::Request& request, size_t index) {
  const std::string& text = request.path_arguments.at(index);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error{Code::kNotFound, text + ": no such id"};
  }
  return value;
}

Result<Json> JsonBody(const net::Request& request) {
  if (request.body.empty()) return Json::object();
  Json json = TRY(ParseJson(request.body));
  if (!json.is_object()) return Error{Code::kInvalid, "body: a JSON object is expected"};
  return json;
}

Result<> OnlyKeys(const Json& object, const std::vector<std::string>& keys,
                  const std::string& what) {
  if (!object.is_object()) return Error{Code::kInvalid, what + ": an object is expected"};
  for (const auto& [key, value] : object.items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    std::string message = what + ": unknown key " + key;
    if (auto nearest = NearestWord(key, keys)) message += "; did you mean " + *nearest + "?";
    return Error{Code::kInvalid, message};
  }
  return Ok{};
}

namespace {

const std::vector<std::string> kFilterKeys{"root",    "type",     "path_prefix", "date_from",
                                           "date_to", "size_min", "size_max"};
const std::vector<std::string> kTypes{"image", "video", "audio", "document"};

Result<std::vector<std::string>> TextsOf(const Json& json, const std::string& key) {
  std::vector<std::string> texts;
  if (!json.contains(key) || json[key].is_null()) return texts;
  const Json& value = json[key];
  if (value.is_string()) return std::vector<std::string>{value.get<std::string>()};
  if (!value.is_array()) return Error{Code::kInvalid, "filters." + key + ": a list is expected"};
  for (const Json& item : value) {
    if (!item.is_string()) return Error{Code::kInvalid, "filters." + key + ": texts are expected"};
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

Result<std::optional<uint64_t>> SizeOf(const Json& json, const std::string& key) {
  if (!json.contains(key) || json[key].is_null()) return std::optional<uint64_t>();
  const auto value = GetInt(json, key);
  if (!value || *value < 0) {
    return Error{Code::kInvalid, "filters." + key + ": a number of bytes is expected"};
  }
  return std::optional<uint64_t>(static_cast<uint64_t>(*value));
}

Result<std::optional<UnixMs>> DateOf(const Json& json, const std::string& key) {
  if (!json.contains(key) || json[key].is_null()) return std::optional<UnixMs>();
  const auto text = GetString(json, key);
  if (!text) return Error{Code::kInvalid, "filters." + key + ": a date is expected"};
  UnixMs time = TRY(ParseRfc3339(*text));
  // A date alone as an upper end means the whole day.
  if (key == "date_to" && text->size() == 10) time += 24 * 3600 * 1000;
  return std::optional<UnixMs>(time);
}

}  // namespace

Result<catalog::Filters> FiltersFromJson(const Json& json) {
  TRY(OnlyKeys(json, kFilterKeys, "filters"));
  catalog::Filters filters;
  filters.roots = TRY(TextsOf(json, "root"));
  filters.types = TRY(TextsOf(json, "type"));
  for (const std::string& type : filters.types) {
    if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
      return Error{Code::kInvalid,
                   "filters.type: " + type + " is not one of " + Join(kTypes, ", ")};
    }
  }
  if (json.contains("path_prefix") && !json["path_prefix"].is_string()) {
    return Error{Code::kInvalid, "filters.path_prefix: a text is expected"};
  }
  filters.path_prefix = GetString(json, "path_prefix").value_or("");
  filters.date_from = TRY(DateOf(json, "date_from"));
  filters.date_to = TRY(DateOf(json, "date_to"));
  filters.size_min = TRY(SizeOf(json, "size_min"));
  filters.size_max = TRY(SizeOf(json, "size_max"));
  return filters;
}

Result<catalog::Filters> FiltersFromQuery(const net::Request& request) {
  Json json = Json::object();
  for (const auto& [name, value] : request.query) {
    const std::string key = name.ends_with("[]") ? name.substr(0, name.size() - 2) : name;
    if (value.empty()) continue;
    if (key == "root" || key == "type") {
      for (std::string_view part : Split(value, ',')) json[key].push_back(std::string(part));
    } else if (key == "path_prefix" || key == "date_from" || key == "date_to") {
      json[key] = value;
    } else if (key == "size_min" || key == "size_max") {
      json[key] = TRY(IntParameter(request, name, 0, 0, INT64_MAX));
    }
  }
  return FiltersFromJson(json);
}

Json PathsJson(const std::vector<catalog::Media::Path>& paths) {
  Json json = Json::array();
  for (const catalog::Media::Path& path : paths) {
    json.push_back({{"root", path.root},
                    {"path", SanitizeUtf8(path.path)},
                    {"size", path.size},
                    {"modified_at", FormatRfc3339(path.modified_ns / 1'000'000)}});
  }
  return json;
}

Json BoxJson(const catalog::TextBox& box) { return {box.x, box.y, box.width, box.height}; }

Json BoxesJson(const std::vector<catalog::TextBox>& boxes) {
  Json json = Json::array();
  for (const catalog::TextBox& box : boxes) {
    json.push_back({{"text", box.text}, {"box", BoxJson(box)}});
  }
  return json;
}

catalog::TextBox Around(const std::vector<catalog::TextBox>& boxes) {
  catalog::TextBox all = boxes.front();
  for (const catalog::TextBox& box : boxes) {
    const float right = std::max(all.x + all.width, box.x + box.width);
    const float lower = std::max(all.y + all.height, box.y + box.height);
    all.x = std::min(all.x, box.x);
    all.y = std::min(all.y, box.y);
    all.width = right - all.x;
    all.height = lower - all.y;
  }
  return all;
}

std::string ThumbnailUrl(catalog::MediaId media, const std::string& type, const Digest& hash,
                         const Json& attributes) {
  // Only documents that are drawn tell how many pages they have; their first page is shown.
  if (type == "document" && !attributes.contains("pages")) return "";
  return fmt::format("/api/media/{}/thumbnail?v={}", media, hash.hex().substr(0, 12));
}

std::string StripUrl(catalog::MediaId media, const Digest& hash) {
  return fmt::format("/api/media/{}/filmstrip?v={}", media, hash.hex().substr(0, 12));
}

Json RootJson(const ingest::RootView& view) {
  const catalog::Root& root = view.root;
  Json json = root.options.is_object() ? root.options : Json::object();
  json["name"] = root.name;
  json["path"] = SanitizeUtf8(root.path);
  json["origin"] = root.origin;
  json["paused"] = root.paused;
  json["state"] = root.paused ? "paused" : root.state;
  if (auto reason = GetString(root.status, "reason"); reason && !reason->empty()) {
    json["state_reason"] = *reason;
  }
  json["watch"] = GetString(root.status, "watch").value_or("");
  if (auto at = GetInt(root.status, "last_scan_at")) json["last_scan_at"] = FormatRfc3339(*at);
  json["counts"] = {{"files", view.counts.files},
                    {"indexed", view.counts.indexed},
                    {"pending", view.counts.pending},
                    {"failed", view.counts.failed},
                    {"bytes", view.counts.bytes}};
  json["speed_files_s"] = view.speed_files_s;
  if (view.eta_s) json["eta_s"] = *view.eta_s;
  if (!view.current.empty()) json["current"] = SanitizeUtf8(view.current);
  json["created_at"] = FormatRfc3339(root.created_at);
  return json;
}

Json TaskJson(const queue::Task& task) {
  Json json{{"task_id", task.id},
            {"kind", task.kind},
            {"queue", task.queue},
            {"status", queue::StatusName(task.status)},
            {"reason", task.reason},
            {"priority", queue::PriorityName(task.priority)},
            {"progress", task.progress.fraction},
            {"stage", task.progress.stage},
            {"message", task.progress.message},
            {"attempts", task.attempts},
            {"errors", task.errors},
            {"crashes", task.crashes},
            {"losses", task.losses},
            {"created_at", FormatRfc3339(task.created_at)},
            {"available_at", FormatRfc3339(task.available_at)},
            {"payload", task.payload}};
  if (task.status == queue::Status::kFinished) json["progress"] = 1.0;
  if (task.started_at) json["started_at"] = FormatRfc3339(*task.started_at);
  if (task.finished_at) json["finished_at"] = FormatRfc3339(*task.finished_at);
  if (task.lease_until) json["lease_until"] = FormatRfc3339(*task.lease_until);
  if (!task.worker.empty()) json["worker"] = task.worker;
  if (!task.parent.empty()) json["parent"] = task.parent;
  if (!task.after.empty()) json["after"] = task.after;
  if (task.result) json["result"] = *task.result;
  if (task.error) {
    json["error"] = {{"code", CodeName(task.error->code)}, {"message", task.error->message}};
  }
  return json;
}

Json WorkerJson(const queue::WorkerInfo& worker) {
  Json json = worker.detail.is_object() ? worker.detail : Json::object();
  json["id"] = worker.id;
  json["role"] = worker.role;
  json["host"] = worker.host;
  json["pid"] = worker.pid;
  json["state"] = worker.state;
  json["started_at"] = FormatRfc3339(worker.started_at);
  json["seen_at"] = FormatRfc3339(worker.seen_at);
  return json;
}

Json QueueJson(const queue::QueueStats& stats) {
  return {{"name", stats.name},
          {"queued", stats.queued},
          {"delayed", stats.delayed},
          {"started", stats.started},
          {"finished", stats.finished},
          {"failed", stats.failed},
          {"cancelled", stats.cancelled},
          {"finished_total", stats.finished_total},
          {"failed_total", stats.failed_total},
          {"mean_ms", stats.mean_ms},
          {"paused", stats.paused}};
}

Json MediaJson(const catalog::Media& media) {
  const catalog::MediaContent& content = media.content;
  Json json{{"media_id", media.id}, {"type", content.type},
            {"mime", content.mime}, {"hash", content.hash.hex()},
            {"size", content.size}, {"paths", PathsJson(media.paths)}};
  if (content.width > 0) {
    json["width"] = content.width;
    json["height"] = content.height;
  }
  if (content.duration) json["duration"] = *content.duration;
  if (content.captured_at) json["captured_at"] = FormatRfc3339(*content.captured_at);
  if (!content.camera.empty()) json["camera"] = content.camera;
  if (!content.title.empty()) json["title"] = content.title;
  if (content.gps) json["gps"] = {{"lat", content.gps->first}, {"lon", content.gps->second}};
  for (const char* shown :
       {"labels", "codec", "sound", "frame_rate", "artist", "album", "genre", "pages"}) {
    if (content.attributes.contains(shown)) json[shown] = content.attributes[shown];
  }
  if (content.attributes.contains("strip")) {
    json["strip"] = content.attributes["strip"];
    json["strip"]["picture"] = StripUrl(media.id, content.hash);
  }
  const std::string thumbnail =
      ThumbnailUrl(media.id, content.type, content.hash, content.attributes);
  json["thumbnail"] = thumbnail.empty() ? Json() : Json(thumbnail);
  if (!media.paths.empty()) {
    json["root"] = media.paths.front().root;
    json["path"] = SanitizeUtf8(media.paths.front().path);
  }
  return json;
}

}  // namespace msearch::api
