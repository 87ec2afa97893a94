// Ctrl-C as a request to stop.
#pragma once

#include <signal.h>

#include <stop_token>
#include <thread>

#include "base/file.h"

namespace msearch::cli {

// While it lives, the first SIGINT or SIGTERM asks for a stop, the second ends the process at
// once. REQUIRES: made before any other thread.
class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  bool interrupted() const { return stop_.stop_requested(); }

 private:
  void Watch();

  std::stop_source stop_;
  sigset_t before_{};
  Fd signals_;
  Fd end_;
  std::thread thread_;
};

}  // namespace msearch::cli
