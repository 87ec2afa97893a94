// What a compute server asks its controller over HTTP, with the access token. Thread-safe.
#pragma once

#include <atomic>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::compute {

struct LinkOptions {
  std::string controller;  // "http://HOST:PORT"
  std::string token;
};

class ControllerLink {
 public:
  explicit ControllerLink(LinkOptions options);

  const std::string& controller() const { return options_.controller; }

  // Errors of the controller keep their code; kUnavailable when it can't be reached or refuses
  // the token, because neither is the fault of the task that asks: then away() is true.
  Result<Json> GetJson(const std::string& path, Milliseconds timeout, std::stop_token stop = {});
  Result<std::string> GetBytes(const std::string& path);
  Result<Json> PostBytes(const std::string& path, std::string_view bytes);
  Result<Json> PostJson(const std::string& path, const Json& body);
  Result<> Delete(const std::string& path);
  // Continues an interrupted download into `file`.
  Result<> Download(const std::string& path, const std::string& file, uint64_t bytes_max,
                    std::stop_token stop);

  // Whether the last call found no controller.
  bool away() const { return away_; }
  // Asks for a sign of life when the last call failed, at most once a second. True when the
  // controller answers.
  bool Reachable();
  // The first contact: kPermission for a wrong token, kInvalid for an address that isn't one.
  Result<Json> Greet();

 private:
  struct Call;
  Result<std::string> Exchange(const Call& call);

  const LinkOptions options_;
  std::atomic<bool> away_{false};
  std::mutex mutex_;
  SteadyTime asked_at_{};  // by mutex_
};

}  // namespace msearch::compute
