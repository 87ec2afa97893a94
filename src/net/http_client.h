// HTTP client. The one include of libcurl. Each call is independent and thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace msearch::net {

struct FormPart {
  std::string name;
  std::string value;      // the bytes, or
  std::string file_path;  // a file to stream
  std::string content_type;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  std::vector<FormPart> form;   // multipart/form-data instead of body
  Milliseconds timeout{30000};  // for the whole exchange; 0: none
  Milliseconds connect_timeout{5000};
  // A server whose machine doesn't even acknowledge for about so long is taken for gone (a cable
  // that was pulled), however long the answer may take.
  Milliseconds silence_max{20000};
  uint64_t body_bytes_max = uint64_t{64} << 20;  // of the answer
  // Gets the answer's body piece by piece instead of HttpResponse::body; false ends the transfer.
  std::function<bool(std::string_view)> on_data;
  // Leaves the connection open for the next such call of this thread: for who asks one server
  // often.
  bool keep_alive = false;
  std::stop_token stop;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Any HTTP status is a success here. kUnavailable when nothing answers, kTimeout, kTooLarge,
// kCancelled.
Result<HttpResponse> Fetch(const HttpRequest& request);

struct Download {
  std::string url;
  std::string path;                  // grows in place; an existing part is continued (Range)
  std::vector<std::string> headers;  // "Name: value"; sent to the first server only
  uint64_t bytes_max = uint64_t{64} << 30;
  Milliseconds silence_max{20000};                              // as of HttpRequest
  std::function<void(uint64_t done, uint64_t total)> progress;  // total 0: not known
  std::stop_token stop;
};
// Follows redirects, over HTTPS only once HTTPS was used. When the server can't continue or the
// file changed there (ETag or Last-Modified, kept beside the part), starts again.
Result<> DownloadFile(const Download& download);

// Percent-encodes everything but unreserved characters.
std::string UrlEncode(std::string_view text);

}  // namespace msearch::net
