// Server-sent events: what the page shows live. One thread looks at the state once a second while
// anybody listens, and sends what changed.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/api.h"

namespace msearch::api {

// Thread-safe.
class Events {
 public:
  explicit Events(Context context);
  ~Events() { Stop(); }
  void Stop();
  // Sends the present state and all changes from now on.
  void Add(std::shared_ptr<net::Stream> stream);
  // Calls `answer` once, from the events' thread, as soon as all that is known is indexed, at the
  // latest at `end`, or when the server stops. Waiting costs no thread.
  void AwaitIdle(SteadyTime end, std::function<void()> answer);

 private:
  void Run(std::stop_token stop);
  std::map<std::string, std::string> State() const;
  void AnswerWaiters();

  const Context context_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::shared_ptr<net::Stream>> streams_;
  std::vector<std::shared_ptr<net::Stream>> new_streams_;
  struct Waiter {
    SteadyTime end;
    std::function<void()> answer;
  };
  std::vector<Waiter> waiters_;
  std::jthread thread_;
};

}  // namespace msearch::api
