// Waiting that another thread can end, together with a file descriptor.
#pragma once

#include <optional>

#include "base/clock.h"
#include "base/file.h"

namespace msearch::watch {

// Thread-safe, with one waiting thread.
class Wake {
 public:
  Wake();  // aborts when the process has no file descriptor left
  void Notify();
  // Until Notify (also one that came before), `fd` (-1: none) is readable, or the deadline.
  void Wait(int fd, std::optional<SteadyTime> deadline);

 private:
  Fd event_;
};

}  // namespace msearch::watch
