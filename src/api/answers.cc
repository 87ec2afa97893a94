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

Result<> CheckRequest(const Entry& entry, const net::Request& request) {
  std::vector<std::string> names;
  for (const Parameter& parameter : entry.query) names.push_back(parameter.name);
  for (const auto& [name, value] : request.query) {
    const std::string key = name.ends_with("[]") ? name.substr(0, name.size() - 2) : name;
    const auto known = std::find(names.begin(), names.end(), key);
    if (known == names.end()) {
      return Error{Code::kInvalid, SanitizeUtf8(name) + ": unknown parameter of " + entry.pattern +
                                       Suggestion(key, names)};
    }
    if (entry.query[static_cast<size_t>(known - names.begin())].type != "boolean") continue;
    if (value != "true" && value != "false" && value != "1" && value != "0") {
      return Error{Code::kInvalid, key + ": true, false, 1 or 0 is expected"};
    }
  }
  const bool empty = request.body.empty() || Trim(request.body) == "{}";
  if (entry.body.empty() && (!empty || !request.form.empty())) {
    return Error{Code::kInvalid, entry.pattern + ": takes no body"};
  }
  return Ok{};
}

Result<Json> JsonBody(const net::Request& request, const Shape& shape, const std::string& what) {
  // Clients that don't say what they send, as curl, are taken to send a form.
  if (!request.form.empty() && !Trim(request.body).starts_with('{')) {
    return Error{Code::kInvalid, what + ": a JSON object is expected, not a form"};
  }
  Json json = request.body.empty() ? Json::object() : TRY(ParseJson(request.body));
  if (!json.is_object()) return Error{Code::kInvalid, what + ": a JSON object is expected"};
  TRY(CheckShape(json, shape, what));
  return json;
}

const Shape& FilterShape() {
  static const Shape shape{
      Field{"root", Type::kTextOrTexts, "names of roots"}.OrNull(),
      Field{"type", Type::kTextOrTexts, "types of files"}.OrNull().OneOf(
          {"image", "video", "audio", "document"}),
      Field{"path_prefix", Type::kText, "beginning of the path below the root"}.OrNull(),
      Field{"date_from", Type::kText, "RFC 3339 time or date, inclusive"}.OrNull(),
      Field{"date_to", Type::kText, "RFC 3339 time, exclusive, or date, inclusive"}.OrNull(),
      Field{"size_min", Type::kInteger, "bytes"}.OrNull().From(0),
      Field{"size_max", Type::kInteger, "bytes"}.OrNull().From(0)};
  return shape;
}

namespace {

std::vector<std::string> TextsOf(const Json& json, const std::string& key) {
  const Json value = json.value(key, Json());
  if (value.is_string()) return {value.get<std::string>()};
  return value.is_null() ? std::vector<std::string>() : value.get<std::vector<std::string>>();
}

std::optional<uint64_t> SizeOf(const Json& json, const std::string& key) {
  const auto value = GetInt(json, key);
  return value ? std::optional(static_cast<uint64_t>(*value)) : std::nullopt;
}

Result<std::optional<UnixMs>> DateOf(const Json& json, const std::string& key) {
  const auto text = GetString(json, key);
  if (!text) return std::optional<UnixMs>();
  UnixMs time = TRY(ParseRfc3339(*text));
  // A date alone as an upper end means the whole day.
  if (key == "date_to" && text->size() == 10) time += 24 * 3600 * 1000;
  return std::optional<UnixMs>(time);
}

}  // namespace

Result<catalog::Filters> FiltersFromJson(const Json& json) {
  TRY(CheckShape(json, FilterShape(), "filters", "filters."));
  catalog::Filters filters;
  filters.roots = TextsOf(json, "root");
  filters.types = TextsOf(json, "type");
  filters.path_prefix = GetString(json, "path_prefix").value_or("");
  filters.date_from = TRY(DateOf(json, "date_from"));
  filters.date_to = TRY(DateOf(json, "date_to"));
  filters.size_min = SizeOf(json, "size_min");
  filters.size_max = SizeOf(json, "size_max");
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

namespace {

Shape PathsShape() {
  return {{"root", Type::kText, ""},
          {"path", Type::kText, "below the root"},
          {"size", Type::kInteger, "bytes"},
          {"modified_at", Type::kText, "RFC 3339"}};
}

}  // namespace

Shape RootAnswer() {
  return {Field{"name", Type::kText, ""}.Required(),
          Field{"path", Type::kText, ""}.Required(),
          {"origin", Type::kText, "api or config"},
          Field{"state", Type::kText, ""}.Required().OneOf(
              {"scanning", "watching", "polling", "unreachable", "paused"}),
          {"state_reason", Type::kText, "why it polls or can't be reached"},
          {"watch", Type::kText, "inotify or polling"},
          {"paused", Type::kFlag, ""},
          {"recursive", Type::kFlag, ""},
          {"extensions", Type::kTexts, ""},
          {"include", Type::kTexts, ""},
          {"exclude", Type::kTexts, ""},
          {"hidden", Type::kFlag, ""},
          {"follow_links", Type::kFlag, ""},
          {"scan_interval_s", Type::kInteger, ""},
          {"last_scan_at", Type::kText, "RFC 3339"},
          Field{"counts", Type::kObject, ""}.Required().Of({{"files", Type::kInteger, ""},
                                                            {"indexed", Type::kInteger, ""},
                                                            {"pending", Type::kInteger, ""},
                                                            {"failed", Type::kInteger, ""},
                                                            {"bytes", Type::kInteger, ""}}),
          {"speed_files_s", Type::kNumber, ""},
          {"eta_s", Type::kNumber, "seconds left"},
          {"current", Type::kText, "a file that is worked on"},
          {"problem", Type::kText, "why what is pending doesn't move"},
          {"created_at", Type::kText, "RFC 3339"}};
}

Shape TaskAnswer() {
  return {Field{"task_id", Type::kText, ""}.Required(),
          Field{"kind", Type::kText, ""}.Required(),
          Field{"queue", Type::kText, ""}.Required(),
          Field{"status", Type::kText, ""}.Required().OneOf(
              {"queued", "started", "finished", "failed", "cancelled"}),
          {"reason", Type::kText, "delayed, quarantined, ..."},
          {"priority", Type::kText, ""},
          {"progress", Type::kNumber, "0 to 1"},
          {"stage", Type::kText, ""},
          {"message", Type::kText, ""},
          {"attempts", Type::kInteger, ""},
          {"errors", Type::kInteger, "attempts that ended so"},
          {"crashes", Type::kInteger, "attempts that ended so"},
          {"losses", Type::kInteger, "leases that ran out"},
          {"created_at", Type::kText, "RFC 3339"},
          {"available_at", Type::kText, "RFC 3339"},
          {"started_at", Type::kText, "RFC 3339"},
          {"finished_at", Type::kText, "RFC 3339"},
          {"lease_until", Type::kText, "RFC 3339"},
          {"worker", Type::kText, "id"},
          {"parent", Type::kText, "the task that it was made for"},
          {"after", Type::kTexts, "tasks that it follows"},
          {"payload", Type::kAny, ""},
          {"result", Type::kAny, ""},
          Field{"error", Type::kObject, ""}.Of(
              {{"code", Type::kText, ""}, {"message", Type::kText, ""}})};
}

Shape WorkerAnswer() {
  return {Field{"id", Type::kText, ""}.Required(),
          Field{"role", Type::kText, ""}.Required(),
          Field{"host", Type::kText, ""}.Required(),
          {"pid", Type::kInteger, ""},
          {"state", Type::kText, ""},
          {"started_at", Type::kText, "RFC 3339"},
          {"seen_at", Type::kText, "RFC 3339"},
          Field{"current", Type::kObjects, "what it is at"}.Of({{"task_id", Type::kText, ""},
                                                                {"kind", Type::kText, ""},
                                                                {"queue", Type::kText, ""},
                                                                {"started_at", Type::kText, ""}})};
}

Shape QueueAnswer() {
  return {Field{"name", Type::kText, ""}.Required(),
          Field{"queued", Type::kInteger, "delayed ones included"}.Required(),
          {"delayed", Type::kInteger, ""},
          Field{"started", Type::kInteger, ""}.Required(),
          {"finished", Type::kInteger, "whose results are still kept"},
          {"failed", Type::kInteger, ""},
          {"cancelled", Type::kInteger, ""},
          {"finished_total", Type::kInteger, "since the queue was made"},
          {"failed_total", Type::kInteger, "since the queue was made"},
          {"mean_ms", Type::kNumber, "of the last finished tasks"},
          Field{"paused", Type::kFlag, ""}.Required(),
          {"workers", Type::kInteger, "of the queues of asking"},
          {"utilisation", Type::kNumber, "share of these that are busy"}};
}

Shape MediaAnswer() {
  return {
      Field{"media_id", Type::kInteger, ""}.Required(),
      Field{"type", Type::kText, ""}.Required().OneOf({"image", "video", "audio", "document"}),
      {"mime", Type::kText, ""},
      {"hash", Type::kText, "SHA-256 of the content"},
      {"size", Type::kInteger, "bytes"},
      Field{"paths", Type::kObjects, "all files of this content"}.Required().Of(PathsShape()),
      {"root", Type::kText, "of the first path"},
      {"path", Type::kText, "the first, below its root"},
      {"width", Type::kInteger, ""},
      {"height", Type::kInteger, ""},
      {"duration", Type::kNumber, "seconds"},
      {"captured_at", Type::kText, "RFC 3339"},
      {"camera", Type::kText, ""},
      {"title", Type::kText, ""},
      Field{"gps", Type::kObject, ""}.Of({{"lat", Type::kNumber, ""}, {"lon", Type::kNumber, ""}}),
      Field{"thumbnail", Type::kText, "address"}.OrNull()};
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
  if (!view.problem.empty()) json["problem"] = view.problem;
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
