// The library as a worker sees it: the controller's HTTP API, on this machine or another. A worker
// has no catalog of its own.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "answer/answer.h"
#include "base/json.h"
#include "base/result.h"
#include "net/http_client.h"

namespace msearch::answer {

struct ControllerOptions {
  std::function<Result<std::string>()> address;  // "http://HOST:PORT", asked for at every call
  std::string token;                             // empty: none
  // A controller that starts again is away for a moment: how long to wait for it.
  Milliseconds patience{30000};
};

// Thread-safe. An error that the API answers keeps its message; kUnavailable when the controller
// is away for longer than the patience, kCancelled when stopped.
class ControllerClient {
 public:
  explicit ControllerClient(ControllerOptions options) : options_(std::move(options)) {}

  Result<Evidence> FindPassages(const Question& question, const Json& filters, size_t limit,
                                std::stop_token stop) const;
  // The bytes that a request's "image" names, and what to call them.
  struct Input {
    std::string bytes;
    std::string name;
  };
  Result<Input> GetInput(const Json& image, std::stop_token stop) const;
  // Media files like the picture, as POST /api/search answers.
  Result<Json> FindSimilar(const Json& image, const Input& input, size_t limit,
                           std::stop_token stop) const;
  Result<Json> GetMedia(int64_t media_id, std::stop_token stop) const;
  // Name of the model that is searched with; empty: none.
  Result<std::string> ActiveModel(std::stop_token stop) const;

 private:
  Result<net::HttpResponse> Send(net::HttpRequest request, const std::string& target,
                                 std::stop_token stop) const;
  Result<Json> SendForJson(net::HttpRequest request, const std::string& target,
                           std::stop_token stop) const;

  const ControllerOptions options_;
};

}  // namespace msearch::answer
