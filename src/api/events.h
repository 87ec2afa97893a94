// Server-sent events: what the page shows live. One thread looks at the state once a second while
// anybody listens, and sends what changed.
#pragma once

#include <condition_variable>
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
  size_t listeners() const;

 private:
  void Run(std::stop_token stop);
  std::map<std::string, std::string> State() const;

  const Context context_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::shared_ptr<net::Stream>> streams_;
  std::vector<std::shared_ptr<net::Stream>> new_streams_;
  std::jthread thread_;
};

}  // namespace msearch::api
