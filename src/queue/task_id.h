// Ids of the embedded back end: ULIDs that carry the number of their row, so that a task is found
// by its id without an index over ids, and rows lie in the order of their creation.
//
//   ULID (128 bits) = milliseconds (48) | serial within them (21) | random tail (59)
//   row number (63) = milliseconds (42) | serial (21)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "queue/task.h"

namespace msearch::queue {

struct TaskKey {
  int64_t row = 0;
  int64_t tail = 0;  // tells apart tasks of different back ends that share a row number
};

constexpr int kSerialBits = 21;

// The smallest row number of that millisecond.
inline int64_t FirstRowAt(UnixMs time) { return time << kSerialBits; }

TaskId EncodeTaskId(const TaskKey& key);
// Nothing for text that isn't an id.
std::optional<TaskKey> DecodeTaskId(std::string_view id);

// Uniform in [0, 2^59). Thread-safe.
int64_t RandomTail();
// Uniform in [0, 1). Thread-safe.
double RandomFraction();

}  // namespace msearch::queue
