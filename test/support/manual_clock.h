// Time that stands still until a test moves it.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace msearch::test {

// Thread-safe.
class ManualClock final : public Clock {
 public:
  UnixMs NowMs() const override { return now_; }
  void Advance(Milliseconds by) { now_ += by.count(); }

 private:
  std::atomic<UnixMs> now_{1'750'000'000'000};
};

}  // namespace msearch::test
