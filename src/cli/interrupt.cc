#include "cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "cli/cli.h"

namespace msearch::cli {

InterruptWatch::InterruptWatch() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGINT);
  sigaddset(&watched, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &watched, &before_);
  signals_ = Fd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  end_ = Fd(eventfd(0, EFD_CLOEXEC));
  thread_ = std::thread([this] { Watch(); });
}

InterruptWatch::~InterruptWatch() {
  eventfd_write(end_.get(), 1);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void InterruptWatch::Watch() {
  std::array<pollfd, 2> waiting{{{signals_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}}};
  while (true) {
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;
    if (waiting[1].revents != 0) return;
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof info) != sizeof info) continue;
    if (!stop_.request_stop()) _exit(kExitInterrupted);
  }
}

}  // namespace msearch::cli
