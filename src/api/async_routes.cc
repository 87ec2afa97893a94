// Asking: requests that take longer than an HTTP exchange should, accepted at once and answered by
// workers; and what these workers ask the library for.
//
// A path of a client is checked when the request is accepted and again when a worker fetches its
// bytes, since links may have changed meanwhile.

#include <fcntl.h>
#include <sys/stat.h>

#include <cmath>

#include "answer/question.h"
#include "api/route_table.h"
#include "base/log.h"
#include "base/strings.h"
#include "ingest/served_files.h"
#include "search/passages.h"

namespace msearch::api {
namespace {

using answer::Desk;
using answer::Request;
using answer::Standing;

constexpr int64_t kWaitSecondsMax = 60;
constexpr int64_t kEventsSecondsMax = 3600;
constexpr size_t kKeyBytesMax = 200;
constexpr size_t kLanguageBytesMax = 35;  // longest tag of BCP 47 that anybody has to accept

Json StandingJson(const Standing& standing) {
  Json json{{"task_id", standing.id},
            {"kind", standing.kind},
            {"status", standing.status},
            {"progress", std::round(standing.progress * 1000) / 1000},
            {"accepted_at", FormatRfc3339(standing.accepted_at)}};
  if (!standing.reason.empty()) json["reason"] = standing.reason;
  if (!standing.stage.empty()) json["stage"] = standing.stage;
  if (!standing.message.empty()) json["message"] = standing.message;
  if (!standing.partial.empty()) json["partial"] = standing.partial;
  if (!standing.ended()) {
    json["position"] = standing.position ? Json(*standing.position) : Json();
    json["eta"] = standing.eta_s ? Json(std::round(*standing.eta_s * 100) / 100) : Json();
    // Until one of its kind has ended lately nothing is known but what is usual.
    if (standing.eta_s && !standing.eta_measured) json["eta_basis"] = "usual";
  }
  if (standing.started_at) json["started_at"] = FormatRfc3339(*standing.started_at);
  if (standing.finished_at) json["finished_at"] = FormatRfc3339(*standing.finished_at);
  if (standing.attempts > 0) json["attempts"] = standing.attempts;
  if (!standing.result.is_null()) json["result"] = standing.result;
  if (standing.error) {
    json["error"] = {{"code", CodeName(standing.error->code)},
                     {"message", SanitizeUtf8(standing.error->message)}};
  }
  if (standing.tasks.size() > 1) json["tasks"] = standing.tasks;
  return json;
}

net::Response StandingResponse(const Result<Standing>& standing) {
  if (!standing.ok()) return ErrorResponse(standing.error());
  if (standing->gone) {
    return Problem(410, "gone", "task " + standing->id + ": its result was kept for its time");
  }
  net::Response response = JsonResponse(StandingJson(*standing));
  if (!standing->ended()) {
    const double wait = std::clamp(standing->eta_s.value_or(2), 1.0, 30.0);
    response.headers.emplace("Retry-After", std::to_string(std::lround(wait)));
  }
  return response;
}

Shape ShapeOf(std::string_view kind) {
  Shape shape{{"generate", Type::kFlag, "true; false leaves the language model out"},
              {"language", Type::kText, "of the answer: zh, en-GB"}};
  if (kind != answer::kAnalyze) {
    shape.push_back({"question", Type::kText, "what is asked"});
    shape.push_back({"query", Type::kText, "the same as question"});
    shape.push_back(Field{"filters", Type::kObject, ""}.OrNull().Of(FilterShape()));
    shape.push_back({"context", Type::kText, "what was said before"});
  }
  if (kind != answer::kComplete) {
    shape.push_back(
        Field{"image", Type::kObject, "a picture: one of media_id, path and base64"}.OrNull().Of(
            {{"media_id", Type::kInteger, "of the library"},
             {"path", Type::kText, "a file inside a root"},
             {"base64", Type::kText, "the file's bytes"},
             {"name", Type::kText, "of the file"}}));
    shape.push_back({"image_path", Type::kText, "a file inside a root"});
    shape.push_back({"media_id", Type::kInteger, "of the library"});
  }
  return shape;
}

const Shape kInput{Field{"image", Type::kObject, "as the request's task names it"}.Required().Of(
    {{"media_id", Type::kInteger, "of the library"},
     {"path", Type::kText, "a file inside a root"},
     {"upload", Type::kText, "what came with the request"},
     {"name", Type::kText, "of the file"}})};

const Shape kPassages{{"query", Type::kText, "words"},
                      {"phrases", Type::kTexts, "any of them"},
                      Field{"filters", Type::kObject, ""}.OrNull().Of(FilterShape()),
                      {"limit", Type::kInteger, "passages"}};

Shape PassagesAnswer() {
  return {Field{"passages", Type::kObjects, "best first"}.Required().Of(
              {Field{"segment_id", Type::kInteger, ""}.Required(),
               Field{"media_id", Type::kInteger, ""}.Required(),
               {"segment_index", Type::kInteger, ""},
               {"type", Type::kText, "of the media"},
               {"kind", Type::kText, "of the segment"},
               Field{"text", Type::kText, ""}.Required(),
               {"words", Type::kNumber, "how well it has the words asked for"},
               {"meaning", Type::kNumber, "0 to 1: that it is about them"},
               {"strong", Type::kFlag, ""},
               {"root", Type::kText, ""},
               {"path", Type::kText, "below the root"},
               {"start_time", Type::kNumber, "seconds"},
               {"end_time", Type::kNumber, "seconds"},
               {"page", Type::kInteger, "from 1"},
               Field{"boxes", Type::kObjects, ""}.Of(
                   {{"text", Type::kText, ""}, {"box", Type::kAny, "[x, y, width, height]"}}),
               {"labels", Type::kAny, "what a picture shows"}}),
          {"rarity", Type::kAny, "of each phrase"},
          {"notice", Type::kText, "what couldn't be asked, and why"}};
}

// What a client sent, before it's known which kind of request it makes.
struct Sent {
  Json json = Json::object();
  const net::FormField* picture = nullptr;
};

Result<Sent> ReadBody(const net::Request& request) {
  Sent sent;
  // Also JSON that a client calls something else, as curl does.
  const bool json = Trim(request.body).starts_with('{');
  if (json || request.form.empty()) {
    if (!request.body.empty()) sent.json = TRY(ParseJson(request.body));
    return sent;
  }
  for (const net::FormField& field : request.form) {
    const bool file = field.name == "image" || field.name == "file";
    if (file && (!field.file_name.empty() || !field.spooled_path.empty())) {
      if (sent.picture != nullptr) return Error{Code::kInvalid, "image: one file is expected"};
      sent.picture = &field;
    } else if (field.name == "filters" || field.name == "generate" || field.name == "image" ||
               field.name == "media_id") {
      sent.json[field.name] = TRY(ParseJson(field.value));
    } else {
      sent.json[field.name] = field.value;
    }
  }
  return sent;
}

// The bytes of a picture that came with the request, kept until it ends.
struct Upload {
  std::string id;
  std::string digest;
};

Result<Upload> Keep(const Context& context, const Sent& sent, const std::string& base64) {
  if (sent.picture == nullptr) {
    const auto bytes = Base64Decode(base64);
    if (!bytes || bytes->empty()) return Error{Code::kInvalid, "image.base64: not base64"};
    return Upload{TRY(context.desk->KeepUpload(*bytes)), Sha256(*bytes).hex()};
  }
  if (sent.picture->spooled_path.empty()) {
    if (sent.picture->value.empty()) return Error{Code::kInvalid, "image: an empty file"};
    return Upload{TRY(context.desk->KeepUpload(sent.picture->value)),
                  Sha256(sent.picture->value).hex()};
  }
  const Fd file = TRY(OpenFile(sent.picture->spooled_path, O_RDONLY));
  const Digest digest = TRY(Sha256File(file.get()));
  return Upload{TRY(context.desk->KeepUploadedFile(sent.picture->spooled_path)), digest.hex()};
}

Result<> CheckRegular(const Fd& file, const std::string& path, uint64_t bytes_max) {
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Error{Code::kInvalid, path + ": not a regular file"};
  }
  if (static_cast<uint64_t>(info.st_size) > bytes_max) {
    return Error{Code::kTooLarge, path + ": larger than " + std::to_string(bytes_max) + " bytes"};
  }
  return Ok{};
}

// Where a request's picture is. Uploads are kept here, and their digest stands for their bytes.
Result<Json> PictureOf(const Context& context, const Sent& sent, std::string* digest) {
  Json image = sent.json.value("image", Json());
  if (image.is_null()) image = Json::object();
  if (sent.json.contains("image_path")) image["path"] = sent.json["image_path"];
  if (sent.json.contains("media_id")) image["media_id"] = sent.json["media_id"];
  const auto count = image.size() - image.count("name") + (sent.picture != nullptr ? 1 : 0);
  if (count == 0) return Json();
  if (count > 1) {
    return Error{Code::kInvalid,
                 "image: exactly one of a file, media_id, path and base64 is expected"};
  }
  if (image.contains("media_id")) {
    const auto id = GetInt(image, "media_id");
    const catalog::Media media = TRY(context.catalog->GetMedia(*id));
    if (media.content.type != "image") {
      return Error{Code::kUnsupported, "media " + std::to_string(*id) + ": not a picture"};
    }
    const std::string& path = media.paths.empty() ? "" : media.paths.front().path;
    return Json{{"media_id", *id}, {"name", SanitizeUtf8(path.substr(path.rfind('/') + 1))}};
  }
  if (image.contains("path")) {
    const auto path = GetString(image, "path");
    if (path->empty()) return Error{Code::kInvalid, "image_path: a path is expected"};
    const Fd file = TRY(OpenInsideRoot(*context.catalog, *path));
    TRY(CheckRegular(file, *path, context.upload_bytes_max));
    return Json{{"path", *path}, {"name", path->substr(path->rfind('/') + 1)}};
  }
  const std::string name = sent.picture != nullptr ? SanitizeUtf8(sent.picture->file_name)
                                                   : GetString(image, "name").value_or("");
  const Upload upload = TRY(Keep(context, sent, GetString(image, "base64").value_or("")));
  *digest = upload.digest;
  return Json{{"upload", upload.id}, {"name", TruncateUtf8(name, 200)}};
}

Result<Request> MakeRequest(const Context& context, std::string_view kind, const Sent& sent,
                            std::string* digest) {
  const bool asks = kind != answer::kAnalyze;
  const bool sees = kind != answer::kComplete;
  TRY(CheckShape(sent.json, ShapeOf(kind), "request"));
  Request request;
  request.kind = kind;
  request.generate = GetBool(sent.json, "generate").value_or(true);
  request.language = GetString(sent.json, "language").value_or("");
  if (request.language.size() > kLanguageBytesMax) {
    return Error{Code::kInvalid, "language: a tag as zh or en-GB is expected"};
  }
  if (asks) {
    const std::string question =
        GetString(sent.json, "question").value_or(GetString(sent.json, "query").value_or(""));
    request.question = TRY(answer::ReadQuestion(question)).text;
    request.context = GetString(sent.json, "context").value_or("");
    if (request.context.size() > answer::kContextBytesMax || !IsUtf8(request.context)) {
      return Error{Code::kInvalid, "context: more than " +
                                       std::to_string(answer::kContextBytesMax) +
                                       " bytes, or not UTF-8"};
    }
    if (sent.json.contains("filters") && !sent.json["filters"].is_null()) {
      const catalog::Filters filters = TRY(FiltersFromJson(sent.json["filters"]));
      TRY(CheckRoots(*context.catalog, filters.roots));
      request.filters = sent.json["filters"];
    }
  }
  if (!sees) return request;
  request.image = TRY(PictureOf(context, sent, digest));
  if (!asks && request.image.is_null()) {
    return Error{Code::kInvalid, "image: a file, media_id, image_path or base64 is expected"};
  }
  return request;
}

// Two requests are the same when they ask the same, of the same bytes.
std::string DigestOf(const Request& request, const std::string& upload) {
  Json json = request.ToJson();
  if (!upload.empty()) json["image"] = upload;
  return Sha256(DumpJson(json)).hex();
}

net::Response Submit(const Context& context, std::string_view kind, const net::Request& http) {
  auto accepted = [&]() -> Result<Desk::Accepted> {
    const std::string key = http.Header("idempotency-key").value_or("");
    if (key.size() > kKeyBytesMax || !IsUtf8(key)) {
      return Error{Code::kInvalid, "Idempotency-Key: longer than 200 bytes, or not UTF-8"};
    }
    const Sent sent = TRY(ReadBody(http));
    std::string upload;
    const Request request = TRY(MakeRequest(context, kind, sent, &upload));
    const std::string digest = key.empty() ? "" : DigestOf(request, upload);
    auto result = context.desk->Accept(request, key, digest);
    if (!result.ok() || result->known) {
      if (auto id = GetString(request.image, "upload")) context.desk->DropUpload(*id);
    }
    return result;
  }();
  if (!accepted.ok()) return ErrorResponse(accepted.error());
  const Standing& standing = accepted->standing;
  if (standing.gone) return StandingResponse(standing);
  Json json = StandingJson(standing);
  json.erase("result");
  net::Response response = JsonResponse(json, 202);
  response.headers.emplace("Location", "/api/async/task/" + standing.id);
  return response;
}

void AnswerWhenEnded(const Context& context, const std::shared_ptr<const net::Request>& request,
                     net::Responder respond) {
  const std::string id = request->path_arguments[0];
  const auto wait = IntParameter(*request, "wait", 0, 0, kWaitSecondsMax);
  if (!wait.ok()) return respond(ErrorResponse(wait.error()));
  if (*wait == 0) return respond(StandingResponse(context.desk->Get(id)));
  context.desk->Watch(id, std::chrono::steady_clock::now() + std::chrono::seconds(*wait), true,
                      [respond](const Result<Standing>& standing, bool last) {
                        if (!last) return true;
                        respond(StandingResponse(standing));
                        return false;
                      });
}

// Events: "state" whenever something changed, with what is new of a text that is being written as
// "text"; at the end "end" with all, or "gone" when nobody knows it.
net::Response StreamEvents(const Context& context, const net::Request& request) {
  const std::string id = request.path_arguments[0];
  const auto first = context.desk->Get(id);
  if (!first.ok() || first->gone) return StandingResponse(first);
  net::Response response;
  response.content_type = "text/event-stream";
  response.headers.emplace("Cache-Control", "no-store");
  response.headers.emplace("X-Accel-Buffering", "no");
  response.stream = [context, id](std::shared_ptr<net::Stream> stream) {
    auto told = std::make_shared<std::string>();  // of the text
    auto state = std::make_shared<std::string>();
    context.desk->Watch(
        id, std::chrono::steady_clock::now() + std::chrono::seconds(kEventsSecondsMax), false,
        [stream, told, state](const Result<Standing>& standing, bool last) {
          std::string out;
          auto event = [&](const char* name, const Json& json) {
            out += std::string("event: ") + name + "\ndata: " + DumpJson(json) + "\n\n";
          };
          if (!standing.ok()) {
            event("gone", {{"detail", standing.message()}});
            stream->Write(out);
            return false;
          }
          if (standing->partial != *told && !standing->partial.empty()) {
            // A text that begins anew replaces what came before.
            // So does what a stream that was opened again begins with.
            const bool goes_on = !told->empty() && standing->partial.starts_with(*told);
            event("text", goes_on ? Json{{"append", standing->partial.substr(told->size())}}
                                  : Json{{"replace", standing->partial}});
            *told = standing->partial;
          }
          Json json = StandingJson(*standing);
          json.erase("partial");
          const bool end = last && standing->ended();
          // A comment, which no listener sees, where there is nothing new.
          const std::string now = DumpJson(json);
          if (!end && out.empty() && now == *state) {
            out = ": still here\n\n";
          } else {
            event(end ? "end" : "state", json);
          }
          *state = now;
          return stream->Write(out) && !last;
        });
  };
  return response;
}

net::Response Input(const Context& context, const net::Request& request) {
  auto opened = [&]() -> Result<Fd> {
    const Json body = TRY(JsonBody(request, kInput, "input"));
    const Json& image = body["image"];
    if (const auto id = GetInt(image, "media_id")) {
      return context.served->OpenContent(TRY(context.catalog->GetMedia(*id)).content.hash);
    }
    if (const auto path = GetString(image, "path")) {
      return OpenInsideRoot(*context.catalog, *path);
    }
    return context.desk->OpenUpload(GetString(image, "upload").value_or(""));
  }();
  if (!opened.ok()) return ErrorResponse(opened.error());
  const auto regular = CheckRegular(*opened, "image", uint64_t{1} << 40);
  if (!regular.ok()) return ErrorResponse(regular.error());
  net::Response response;
  response.content_type = "application/octet-stream";
  response.file = std::make_shared<Fd>(std::move(*opened));
  return response;
}

Json PassageJson(const search::Passage& passage) {
  const catalog::SegmentInfo& segment = passage.segment;
  Json json{{"segment_id", segment.id},       {"media_id", segment.media},
            {"segment_index", segment.index}, {"type", segment.type},
            {"kind", segment.kind},           {"text", SanitizeUtf8(passage.text)},
            {"words", passage.words},         {"meaning", passage.meaning},
            {"strong", passage.strong}};
  if (!segment.paths.empty()) {
    json["root"] = segment.paths.front().root;
    json["path"] = SanitizeUtf8(segment.paths.front().path);
  }
  if (segment.start_time) json["start_time"] = *segment.start_time;
  if (segment.end_time) json["end_time"] = *segment.end_time;
  if (segment.page) json["page"] = *segment.page;
  if (!segment.boxes.empty()) json["boxes"] = BoxesJson(segment.boxes);
  if (segment.attributes.contains("labels")) json["labels"] = segment.attributes["labels"];
  return json;
}

Result<Json> Passages(const Context& context, const net::Request& request) {
  const Json body = TRY(JsonBody(request, kPassages, "passages"));
  search::PassageQuery query;
  query.words = GetString(body, "query").value_or("");
  for (const Json& phrase : body.value("phrases", Json::array())) {
    query.phrases.push_back(phrase.get<std::string>());
  }
  query.limit = static_cast<size_t>(std::clamp<int64_t>(
      GetInt(body, "limit").value_or(24), 1, static_cast<int64_t>(search::kPassagesMax)));
  if (body.contains("filters") && !body["filters"].is_null()) {
    query.filters = TRY(FiltersFromJson(body["filters"]));
  }
  const search::Passages found =
      TRY(search::FindPassages(*context.catalog, context.engine(), query));
  Json json{{"passages", Json::array()}, {"rarity", found.rarity}};
  if (!found.notice.empty()) json["notice"] = found.notice;
  for (const search::Passage& passage : found.passages) {
    json["passages"].push_back(PassageJson(passage));
  }
  return json;
}

}  // namespace

void AddAsyncRoutes(const Context& context, Table* table) {
  const std::pair<const char*, std::string_view> kinds[] = {
      {"/api/async/analyze-image", answer::kAnalyze},
      {"/api/async/complete-answer", answer::kComplete},
      {"/api/async/query", answer::kFullQuery}};
  for (const auto& [pattern, kind] : kinds) {
    table->push_back(
        {.method = "POST",
         .pattern = pattern,
         .summary = kind == answer::kAnalyze ? "Analyse a picture, as a task"
                    : kind == answer::kComplete
                        ? "Answer a question from the library, as a task"
                        : "Analyse a picture, if there is one, and answer a "
                          "question, as a task",
         .body = "application/json",
         .takes = ShapeOf(kind),
         .files = kind == answer::kComplete ? std::vector<std::string>()
                                            : std::vector<std::string>{"image"},
         .answer = "202: task_id, status, position, eta; Location. Idempotency-Key is honoured",
         .gives = StandingAnswer(),
         .body_bytes_max = kind == answer::kComplete ? 1 << 20 : context.upload_bytes_max,
         .handle = [context, kind = kind](const net::Request& request) {
           return Submit(context, kind, request);
         }});
  }
  table->push_back(
      {.method = "GET",
       .pattern = "/api/async/task/{id}",
       .summary = "How a request stands, and its result; 410 when that was kept for its time",
       .query = {{"wait", "integer", "seconds to wait for its end, up to 60"}},
       .gives = StandingAnswer(),
       .handle_async = [context](std::shared_ptr<const net::Request> request,
                                 net::Responder respond) {
         AnswerWhenEnded(context, request, std::move(respond));
       }});
  table->push_back({.method = "GET",
                    .pattern = "/api/async/task/{id}/events",
                    .summary = "Server-sent events of one request: state, text, end",
                    .handle = [context](const net::Request& request) {
                      return StreamEvents(context, request);
                    }});
  table->push_back({.method = "DELETE",
                    .pattern = "/api/async/task/{id}",
                    .summary = "Cancel a request, running or not",
                    .gives = StandingAnswer(),
                    .handle = [context](const net::Request& request) {
                      return StandingResponse(context.desk->Cancel(request.path_arguments[0]));
                    }});
  table->push_back(
      {.method = "POST",
       .pattern = "/api/async/input",
       .summary = "The bytes of a request's picture, for workers",
       .body = "application/json",
       .takes = kInput,
       .answer = "the bytes",
       .handle = [context](const net::Request& request) { return Input(context, request); }});
  table->push_back({.method = "POST",
                    .pattern = "/api/passages",
                    .summary = "What a question may be answered from: passages with any of these "
                               "phrases, or about these words",
                    .body = "application/json",
                    .takes = kPassages,
                    .answer = "passages, best first, with their text; rarity of each phrase",
                    .gives = PassagesAnswer(),
                    .handle = [context](const net::Request& request) {
                      return Answer(Passages(context, request));
                    }});
}

}  // namespace msearch::api
