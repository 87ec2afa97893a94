#include "cli/client.h"

#include "base/log.h"
#include "cli/terminal.h"

namespace msearch::cli {
namespace {

// Clients look for an answer of this size at most: a thousand hits with many paths each.
constexpr uint64_t kAnswerBytesMax = uint64_t{256} << 20;

Code CodeOf(int status) {
  switch (status) {
    case 400:
      return Code::kInvalid;
    case 401:
    case 403:
      return Code::kPermission;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kConflict;
    case 413:
      return Code::kTooLarge;
    case 415:
      return Code::kUnsupported;
    case 503:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

Error ErrorOf(int status, const Result<Json>& body) {
  if (!body.ok() || !GetString(*body, "title")) {
    return {CodeOf(status), fmt::format("server: answered with status {}", status)};
  }
  std::string text = *GetString(*body, "title");
  if (auto detail = GetString(*body, "detail"); detail && !detail->empty()) text += ": " + *detail;
  if (auto code = GetString(*body, "code")) text += " (" + *code + ")";
  return {CodeOf(status), Printable(text)};
}

}  // namespace

std::string Target(const std::vector<std::string>& parts, const Parameters& query) {
  std::string target;
  for (const std::string& part : parts) target += "/" + net::UrlEncode(part);
  char separator = '?';
  for (const auto& [name, value] : query) {
    target += separator + net::UrlEncode(name) + "=" + net::UrlEncode(value);
    separator = '&';
  }
  return target;
}

Client::Client(std::string server, std::string token, std::stop_token stop)
    : server_(std::move(server)), token_(std::move(token)), stop_(std::move(stop)) {
  while (server_.ends_with('/')) server_.pop_back();
  if (server_.find("://") == std::string::npos) server_ = "http://" + server_;
}

Result<Json> Client::Send(net::HttpRequest request, const std::string& target,
                          Milliseconds timeout) const {
  request.url = server_ + target;
  request.timeout = timeout;
  request.stop = stop_;
  request.body_bytes_max = kAnswerBytesMax;
  request.headers.push_back("Accept: application/json");
  if (!token_.empty()) request.headers.push_back("Authorization: Bearer " + token_);
  Result<net::HttpResponse> response = net::Fetch(request);
  if (!response.ok()) {
    if (response.code() != Code::kUnavailable) return response.error();
    return Error{Code::kUnavailable,
                 server_ + ": no msearch server answers there; start one with \"msearch service " +
                     "start\" or name another with --server"};
  }
  Result<Json> body =
      response->body.empty() ? Result<Json>(Json::object()) : ParseJson(response->body);
  if (response->status >= 400) return ErrorOf(response->status, body);
  if (!body.ok() || !body->is_object()) {
    return Error{Code::kInternal, server_ + ": not the answer of an msearch server"};
  }
  return body;
}

Result<Json> Client::Get(const std::string& target, Milliseconds timeout) const {
  return Send({}, target, timeout);
}

Result<Json> Client::Post(const std::string& target, const Json& body, Milliseconds timeout) const {
  net::HttpRequest request;
  request.method = "POST";
  request.headers.push_back("Content-Type: application/json");
  request.body = DumpJson(body);
  return Send(std::move(request), target, timeout);
}

Result<Json> Client::PostForm(const std::string& target, std::vector<net::FormPart> form) const {
  net::HttpRequest request;
  request.method = "POST";
  request.form = std::move(form);
  return Send(std::move(request), target, kTimeout);
}

Result<> Client::Stream(const std::string& target,
                        const std::function<bool(std::string_view)>& on_data) const {
  net::HttpRequest request;
  request.url = server_ + target;
  request.timeout = Milliseconds(0);
  request.stop = stop_;
  request.headers.push_back("Accept: text/event-stream");
  if (!token_.empty()) request.headers.push_back("Authorization: Bearer " + token_);
  // What a failure says is no stream, but its status is known only afterwards.
  std::string first;
  bool wanted = true;
  request.on_data = [&](std::string_view bytes) {
    if (first.size() < 65536) first += bytes;
    wanted = on_data(bytes);
    return wanted;
  };
  const Result<net::HttpResponse> response = net::Fetch(request);
  if (!response.ok()) {
    if (!wanted) return Ok{};
    return response.error();
  }
  if (response->status >= 400) return ErrorOf(response->status, ParseJson(first));
  return Ok{};
}

Result<Json> Client::Delete(const std::string& target) const {
  net::HttpRequest request;
  request.method = "DELETE";
  return Send(std::move(request), target, kTimeout);
}

}  // namespace msearch::cli
