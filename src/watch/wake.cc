#include "watch/wake.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

namespace msearch::watch {

Wake::Wake() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!event_.valid()) abort();
}

void Wake::Notify() {
  const uint64_t one = 1;
  // It can only fail when it is set already.
  [[maybe_unused]] const ssize_t written = write(event_.get(), &one, sizeof one);
}

void Wake::Wait(int fd, std::optional<SteadyTime> deadline) {
  std::array<pollfd, 2> waiting{pollfd{event_.get(), POLLIN, 0}, pollfd{fd, POLLIN, 0}};
  int timeout = -1;
  if (deadline) {
    const auto left =
        std::chrono::ceil<Milliseconds>(*deadline - std::chrono::steady_clock::now()).count();
    timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
  }
  if (poll(waiting.data(), fd >= 0 ? 2 : 1, timeout) > 0 && waiting[0].revents != 0) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(event_.get(), &count, sizeof count);
  }
}

}  // namespace msearch::watch
