// Files per second over the last seconds.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "base/clock.h"

namespace msearch::ingest {

// Not thread-safe.
class Speed {
 public:
  void Count(const std::string& path) {
    const auto now = std::chrono::steady_clock::now();
    if (times_.empty()) since_ = now;
    times_.push_back(now);
    current_ = path;
    Forget(now);
  }
  double FilesPerSecond() {
    const auto now = std::chrono::steady_clock::now();
    Forget(now);
    if (times_.empty()) return 0;
    const std::chrono::duration<double> span = now - std::max(since_, now - kWindow);
    return static_cast<double>(times_.size()) / std::max(span.count(), 1.0);
  }
  const std::string& current() const { return current_; }

 private:
  static constexpr std::chrono::seconds kWindow{15};
  void Forget(SteadyTime now) {
    while (!times_.empty() && now - times_.front() > kWindow) times_.pop_front();
    if (times_.empty()) current_.clear();
  }

  std::deque<SteadyTime> times_;
  SteadyTime since_{};
  std::string current_;
};

}  // namespace msearch::ingest
