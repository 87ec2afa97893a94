#include <fcntl.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "api/route_table.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/http_client.h"

namespace msearch::api {
namespace {

Shape OneMediaAnswer() {
  Shape shape = MediaAnswer();
  shape.push_back({"text", Type::kText, "the beginning of what it says"});
  shape.push_back(Field{"segments", Type::kObjects, "its parts"}.Required().Of(
      {{"segment_index", Type::kInteger, ""},
       {"segment_id", Type::kInteger, ""},
       {"kind", Type::kText, ""},
       {"start_time", Type::kNumber, "seconds"},
       {"end_time", Type::kNumber, "seconds"},
       {"page", Type::kInteger, ""},
       {"boxes", Type::kAny, "[x, y, width, height] of each"},
       {"text", Type::kText, ""}}));
  return shape;
}

Result<Json> OneMedia(const Context& context, const net::Request& request) {
  const auto id = TRY(IdArgument(request, 0));
  const catalog::Media media = TRY(context.catalog->GetMedia(id));
  Json json = MediaJson(media);
  json["segments"] = Json::array();
  std::string text;
  const auto ids = TRY(context.catalog->SegmentsOf(id));
  for (size_t i = 0; i < media.content.segments.size(); ++i) {
    const catalog::Segment& segment = media.content.segments[i];
    Json item{{"segment_index", segment.index}};
    if (i < ids.size()) item["segment_id"] = ids[i];
    if (segment.start_time) item["start_time"] = *segment.start_time;
    if (segment.end_time) item["end_time"] = *segment.end_time;
    if (segment.page) item["page"] = *segment.page;
    item["kind"] = segment.kind;
    if (!segment.boxes.empty()) item["boxes"] = BoxesJson(segment.boxes);
    if (!segment.text.empty()) item["text"] = segment.text;
    if (!segment.text.empty() && text.size() < 65536) text += segment.text + "\n\n";
    json["segments"].push_back(std::move(item));
  }
  if (!text.empty()) json["text"] = SanitizeUtf8(text);
  return json;
}

Result<Json> ManyMedia(const Context& context, const net::Request& request) {
  catalog::Catalog::MediaQuery query;
  query.filters = TRY(FiltersFromQuery(request));
  TRY(CheckRoots(*context.catalog, query.filters.roots));
  query.offset = static_cast<size_t>(TRY(IntParameter(request, "offset", 0, 0, INT32_MAX)));
  query.limit = static_cast<size_t>(TRY(IntParameter(request, "limit", 50, 1, 1000)));
  int64_t total = 0;
  Json json{{"media", Json::array()}};
  for (const catalog::Media& media : TRY(context.catalog->ListMedia(query, &total))) {
    json["media"].push_back(MediaJson(media));
  }
  json["total"] = total;
  return json;
}

// As media::kClipSecondsMax, which this folder doesn't know.
constexpr double kClipSecondsMax = 900;

// The first of the media's paths that can be opened.
Result<Fd> OpenContent(const Context& context, const catalog::Media& media) {
  std::map<std::string, std::string> roots;
  for (const catalog::Root& root : TRY(context.catalog->Roots())) roots[root.name] = root.path;
  Error last{Code::kNotFound, "media: no file"};
  for (const catalog::Media::Path& path : media.paths) {
    auto file = OpenFile(roots[path.root] + "/" + path.path, O_RDONLY);
    if (file.ok()) return file;
    last = Error{Code::kNotFound, SanitizeUtf8(path.path) + ": can't be opened at the moment"};
  }
  return last;
}

net::Response FileResponse(std::shared_ptr<Fd> file, const std::string& type,
                           const std::string& etag) {
  net::Response response;
  response.content_type = type;
  response.file = std::move(file);
  response.etag = "\"" + etag + "\"";
  response.headers.emplace("Cache-Control", "private, max-age=3600");
  response.headers.emplace("X-Content-Type-Options", "nosniff");
  // Files are the user's, but not necessarily made by them: nothing in them may run here.
  response.headers.emplace("Content-Security-Policy", "default-src 'none'; sandbox");
  return response;
}

net::Response FileResponse(Fd file, const std::string& type, const std::string& etag) {
  return FileResponse(std::make_shared<Fd>(std::move(file)), type, etag);
}

net::Response Content(const Context& context, const net::Request& request) {
  auto opened = [&]() -> Result<net::Response> {
    const catalog::Media media = TRY(context.catalog->GetMedia(TRY(IdArgument(request, 0))));
    Fd file = TRY(OpenContent(context, media));
    const bool text = media.content.type == "document";
    net::Response response =
        FileResponse(std::move(file), text ? "text/plain; charset=utf-8" : media.content.mime,
                     media.content.hash.hex());
    if (FlagParameter(request, "download") && !media.paths.empty()) {
      const std::string& path = media.paths.front().path;
      std::string name = SanitizeUtf8(path.substr(path.rfind('/') + 1));
      response.headers.emplace("Content-Disposition",
                               "attachment; filename*=UTF-8''" + net::UrlEncode(name));
    }
    return response;
  }();
  return opened.ok() ? std::move(*opened) : ErrorResponse(opened.error());
}

// Somebody deleted it, or it was never made: once more, from the file.
Result<> MakeThumbnail(const Context& context, const catalog::Media& media) {
  const Error none{Code::kNotFound, "media: has no thumbnail"};
  const bool seen = media.content.type == "image" || media.content.type == "video" ||
                    media.content.mime == "application/pdf";
  if (!seen || !context.make_thumbnail) return none;
  const Fd file = TRY(OpenContent(context, media));
  const auto duration = media.content.duration;
  const auto time = media.content.type == "video" ? std::optional(duration.value_or(0) / 10)
                                                  : std::optional<double>();
  const auto jpeg = context.make_thumbnail(file, SanitizeUtf8(media.paths.front().path), time);
  if (!jpeg.ok() && jpeg.code() == Code::kUnsupported) return none;
  if (!jpeg.ok()) return jpeg.error();
  return context.library->thumbnails().Store(media.content.hash, *jpeg);
}

net::Response Thumbnail(const Context& context, const net::Request& request) {
  auto opened = [&]() -> Result<net::Response> {
    const catalog::Media media = TRY(context.catalog->GetMedia(TRY(IdArgument(request, 0))));
    const std::string path = context.library->thumbnails().PathOf(media.content.hash);
    auto file = OpenFile(path, O_RDONLY);
    if (!file.ok()) {
      TRY(MakeThumbnail(context, media));
      file = OpenFile(path, O_RDONLY);
    }
    if (!file.ok()) return file.error();
    return FileResponse(std::move(*file), "image/jpeg", media.content.hash.hex() + "-t");
  }();
  return opened.ok() ? std::move(*opened) : ErrorResponse(opened.error());
}

Result<ClipRequest> ClipAsked(const Context& context, const net::Request& request) {
  const catalog::Media media = TRY(context.catalog->GetMedia(TRY(IdArgument(request, 0))));
  const auto number = [&](const char* name, double fallback) {
    const std::string text = request.Query(name).value_or("");
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return text.empty() ? fallback : *end == 0 && std::isfinite(value) ? value : -1;
  };
  ClipRequest clip;
  clip.start = number("start", 0);
  clip.end = number("end", clip.start + 10);
  if (clip.start < 0 || clip.end <= clip.start) {
    return Error{Code::kInvalid, "clip: start and end are seconds, the end after the start"};
  }
  // What a file says of its length may be a little less than there is.
  constexpr double kSlack = 1;
  if (const auto duration = media.content.duration; duration && clip.start > *duration + kSlack) {
    return Error{Code::kInvalid,
                 fmt::format("clip: start is behind the end, which is at {:.3f} s", *duration)};
  }
  if (clip.end - clip.start > kClipSecondsMax) {
    return Error{Code::kInvalid, fmt::format("clip: longer than {} seconds", kClipSecondsMax)};
  }
  clip.file = TRY(OpenContent(context, media));
  clip.name = SanitizeUtf8(media.paths.front().path);
  clip.key = fmt::format("{}-c{:.3f}-{:.3f}", media.content.hash.hex(), clip.start, clip.end);
  // A part can only be given of what is there, with its size. Players ask for "all, please" first.
  const std::string range = request.Header("range").value_or("");
  clip.whole = !range.empty() && range != "bytes=0-";
  return clip;
}

net::Response ClipResponse(ClipFile clip, const std::string& key) {
  net::Response response = FileResponse(nullptr, clip.type, key);
  response.file = std::move(clip.file);
  response.growing = std::move(clip.growing);
  // Kept, it would answer for the whole, of which parts can be given.
  if (response.growing) {
    response.headers.erase("Cache-Control");
    response.headers.emplace("Cache-Control", "no-store");
  }
  response.headers.emplace("X-Clip-Start", fmt::format("{:.3f}", clip.start));
  if (clip.end) response.headers.emplace("X-Clip-End", fmt::format("{:.3f}", *clip.end));
  return response;
}

void Clip(const Context& context, const net::Request& request, const net::Responder& respond) {
  Result<ClipRequest> asked = ClipAsked(context, request);
  if (!asked.ok()) return respond(ErrorResponse(asked.error()));
  std::string key = asked->key;
  context.cut(std::move(*asked), [respond, key = std::move(key)](Result<ClipFile> clip) {
    respond(clip.ok() ? ClipResponse(std::move(*clip), key) : ErrorResponse(clip.error()));
  });
}

net::Response Strip(const Context& context, const net::Request& request) {
  auto opened = [&]() -> Result<net::Response> {
    const catalog::Media media = TRY(context.catalog->GetMedia(TRY(IdArgument(request, 0))));
    auto file = OpenFile(context.library->thumbnails().StripPathOf(media.content.hash), O_RDONLY);
    if (!file.ok()) return Error{Code::kNotFound, "media: has no film strip"};
    return FileResponse(std::move(*file), "image/jpeg", media.content.hash.hex() + "-s");
  }();
  return opened.ok() ? std::move(*opened) : ErrorResponse(opened.error());
}

}  // namespace

void AddMediaRoutes(const Context& context, Table* table) {
  table->push_back({.method = "GET",
                    .pattern = "/api/media",
                    .summary = "Media files, newest first",
                    .query = {{"root", "string", "names of roots, separated by commas"},
                              {"type", "string", "image, video, audio, document"},
                              {"path_prefix", "string", ""},
                              {"date_from", "string", ""},
                              {"date_to", "string", ""},
                              {"size_min", "integer", ""},
                              {"size_max", "integer", ""},
                              {"offset", "integer", ""},
                              {"limit", "integer", "1 to 1000"}},
                    .gives = {Field{"media", Type::kObjects, ""}.Required().Of(MediaAnswer()),
                              Field{"total", Type::kInteger, ""}.Required()},
                    .handle = [context](const net::Request& request) {
                      return Answer(ManyMedia(context, request));
                    }});
  table->push_back({.method = "GET",
                    .pattern = "/api/media/{id}",
                    .summary = "One media file with its paths and segments",
                    .gives = OneMediaAnswer(),
                    .handle = [context](const net::Request& request) {
                      return Answer(OneMedia(context, request));
                    }});
  table->push_back(
      {.method = "GET",
       .pattern = "/api/media/{id}/content",
       .summary = "The file itself; ranges are answered",
       .query = {{"download", "boolean", "as an attachment"}},
       .handle = [context](const net::Request& request) { return Content(context, request); }});
  table->push_back(
      {.method = "GET",
       .pattern = "/api/media/{id}/thumbnail",
       .summary = "A small JPEG of it",
       .query = {{"v", "string", "any; so that addresses of other bytes differ"}},
       .handle = [context](const net::Request& request) { return Thumbnail(context, request); }});
  table->push_back(
      {.method = "GET",
       .pattern = "/api/media/{id}/clip",
       .summary =
           "A stretch of a film or sound as MP4. It begins at the key frame before `start` "
           "where it can be copied; X-Clip-Start says where it is. One that takes long to make "
           "is sent while it is made, in chunks; else X-Clip-End is there and ranges are "
           "answered, as they are to whoever asks for one",
       .query = {{"start", "number", "seconds"},
                 {"end", "number", "seconds; ten later if it isn't given, at most 900 later"}},
       .handle_async = [context](const std::shared_ptr<const net::Request>& request,
                                 const net::Responder& respond) {
         Clip(context, *request, respond);
       }});
  table->push_back(
      {.method = "GET",
       .pattern = "/api/media/{id}/filmstrip",
       .summary = "Small frames of a film in the rows of one JPEG, as `strip` of the media says",
       .query = {{"v", "string", "any; so that addresses of other bytes differ"}},
       .handle = [context](const net::Request& request) { return Strip(context, request); }});
}

}  // namespace msearch::api
