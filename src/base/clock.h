// Time as the rest of the program sees it. Durations that bound waiting use the steady clock;
// times that are stored or compared between processes are wall-clock milliseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msearch {

using Milliseconds = std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

// Milliseconds since 1970-01-01 UTC.
using UnixMs = int64_t;

// The seam through which anything that stores or compares wall-clock time gets it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual UnixMs NowMs() const = 0;
};

// The machine's clock.
const Clock& SystemClock();

// "2026-01-31T12:00:00.123Z"
std::string FormatRfc3339(UnixMs time);
// Accepts offsets and a date alone (midnight UTC); kInvalid otherwise.
Result<UnixMs> ParseRfc3339(std::string_view text);

}  // namespace msearch
