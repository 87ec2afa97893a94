#include "compute/controller_link.h"

#include "base/log.h"
#include "net/http_client.h"

namespace msearch::compute {
namespace {

constexpr Milliseconds kShort{15000};

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

struct ControllerLink::Call {
  std::string method = "GET";
  std::string path;
  std::string body;
  std::string content_type;
  Milliseconds timeout = kShort;
  std::stop_token stop;
  bool probes = false;  // whether it is back
};

ControllerLink::ControllerLink(LinkOptions options)
    : options_(
          {WithoutSlash(std::move(options.controller)), std::move(options.token), options.rest}) {}

std::optional<Error> ControllerLink::Resting() const {
  const std::lock_guard lock(mutex_);
  if (!away_ || std::chrono::steady_clock::now() - failed_at_ >= options_.rest) return std::nullopt;
  return failure_;
}

Error ControllerLink::NoteAbsence(Error error) {
  const std::lock_guard lock(mutex_);
  away_ = true;
  failed_at_ = std::chrono::steady_clock::now();
  failure_ = error;
  return error;
}

std::string ControllerLink::problem() const {
  const std::lock_guard lock(mutex_);
  return away_ ? failure_.message : "";
}

Result<std::string> ControllerLink::Exchange(const Call& call) {
  if (!call.probes) {
    if (auto failure = Resting()) return *failure;
  }
  net::HttpRequest request;
  request.method = call.method;
  request.url = options_.controller + call.path;
  if (!options_.token.empty()) request.headers.push_back("Authorization: Bearer " + options_.token);
  if (!call.content_type.empty()) request.headers.push_back("Content-Type: " + call.content_type);
  request.body = call.body;
  request.timeout = call.timeout;
  request.body_bytes_max = uint64_t{1} << 30;
  request.keep_alive = true;
  request.stop = call.stop;
  auto response = net::Fetch(request);
  if (!response.ok()) {
    if (response.code() == Code::kCancelled) return response.error();
    const Code code = response.code() == Code::kInvalid ? Code::kInvalid : Code::kUnavailable;
    return NoteAbsence({code, "controller " + response.message()});
  }
  const int status = response->status;
  if (status == 401) {
    return NoteAbsence({Code::kUnavailable,
                        "controller " + options_.controller + ": access token missing or wrong"});
  }
  away_ = false;
  if (status >= 200 && status < 300) return std::move(response->body);
  const Json problem = ParseJson(response->body).value_or(Json::object());
  const auto name = GetString(problem, "code");
  const Code code = name            ? CodeFromName(*name)
                    : status >= 500 ? Code::kUnavailable
                                    : Code::kInvalid;
  const auto detail = GetString(problem, "detail");
  if (name && detail) return Error{code, *detail};
  const Error error{
      code, fmt::format("controller {}{}: HTTP status {}", options_.controller, call.path, status)};
  // What stands before it answers, but it doesn't now.
  if (status == 503 && code == Code::kUnavailable && !name) return NoteAbsence(error);
  return error;
}

Result<Json> ControllerLink::GetJson(const std::string& path, Milliseconds timeout,
                                     std::stop_token stop) {
  return ParseJson(TRY(Exchange({.path = path, .timeout = timeout, .stop = std::move(stop)})));
}

Result<std::string> ControllerLink::GetBytes(const std::string& path) {
  return Exchange({.path = path, .timeout = Milliseconds(60000)});
}

Result<Json> ControllerLink::PostBytes(const std::string& path, std::string_view bytes) {
  return ParseJson(TRY(Exchange({.method = "POST",
                                 .path = path,
                                 .body = std::string(bytes),
                                 .content_type = "application/octet-stream",
                                 .timeout = Milliseconds(60000)})));
}

Result<Json> ControllerLink::PostJson(const std::string& path, const Json& body) {
  return ParseJson(TRY(Exchange({.method = "POST",
                                 .path = path,
                                 .body = DumpJson(body),
                                 .content_type = "application/json"})));
}

Result<> ControllerLink::Delete(const std::string& path) {
  TRY(Exchange({.method = "DELETE", .path = path}));
  return Ok{};
}

Result<> ControllerLink::Download(const std::string& path, const std::string& file,
                                  uint64_t bytes_max, std::stop_token stop) {
  if (auto failure = Resting()) return *failure;
  net::Download download;
  download.url = options_.controller + path;
  download.path = file;
  download.bytes_max = bytes_max;
  if (!options_.token.empty()) {
    download.headers.push_back("Authorization: Bearer " + options_.token);
  }
  download.stop = std::move(stop);
  const Result<> done = net::DownloadFile(download);
  if (done.ok() || done.code() == Code::kCancelled) return done;
  // A connection that broke: what came is kept, and the next try goes on from there.
  const Code code = done.code() == Code::kPermission || done.code() == Code::kTimeout
                        ? Code::kUnavailable
                        : done.code();
  const Error error{code, "controller " + done.message()};
  const bool away = done.code() == Code::kUnavailable || done.code() == Code::kTimeout;
  return away ? NoteAbsence(error) : error;
}

bool ControllerLink::Reachable() {
  if (!away_) return true;
  {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now - asked_at_ < std::chrono::seconds(1)) return false;
    asked_at_ = now;
  }
  return Exchange({.path = "/api/compute/hello", .timeout = Milliseconds(5000), .probes = true})
      .ok();
}

Result<Json> ControllerLink::Greet() {
  auto said =
      Exchange({.path = "/api/compute/hello", .timeout = Milliseconds(5000), .probes = true});
  auto answer = said.ok() ? ParseJson(*said) : Result<Json>(said.error());
  const bool understood = answer.ok() && GetString(*answer, "preparation").has_value();
  const bool away = !answer.ok() && (away_ || IsTransient(answer.code()));
  if (!understood && !away) {
    return Error{
        Code::kInvalid,
        fmt::format("controller {}: does not answer like an msearch controller ({}); set "
                    "compute.controller to the address of one, http://HOST:PORT",
                    options_.controller,
                    answer.ok() ? "/api/compute/hello is something else" : answer.message())};
  }
  if (answer.ok() || answer.message().find("access token") == std::string::npos) return answer;
  return Error{Code::kPermission, answer.message() + "; set server.token (MSEARCH_SERVER_TOKEN)"};
}

}  // namespace msearch::compute
