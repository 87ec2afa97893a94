// What a compute server asks its controller over HTTP, with the access token. Thread-safe.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
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
  // After a call that found no controller the next ones fail at once for so long: each would wait
  // for its own end, with all that is under work meanwhile.
  Milliseconds rest{1000};
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
  // Why it is away; empty while it isn't.
  std::string problem() const;
  // Asks for a sign of life when the last call failed, at most once a second. True when the
  // controller answers.
  bool Reachable();
  // The first contact: kPermission for a wrong token, kInvalid for an address that isn't one.
  Result<Json> Greet();

 private:
  struct Call;
  Result<std::string> Exchange(const Call& call);
  // The last failure, as long as it is not to be tried again.
  std::optional<Error> Resting() const;
  Error NoteAbsence(Error error);

  const LinkOptions options_;
  std::atomic<bool> away_{false};
  mutable std::mutex mutex_;
  SteadyTime asked_at_{};   // by mutex_
  SteadyTime failed_at_{};  // by mutex_
  Error failure_;           // by mutex_: while away_
};

}  // namespace msearch::compute
