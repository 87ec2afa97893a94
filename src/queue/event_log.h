// A task's history packed into one text column, so that a transition writes no row of its own
// for it. Times are relative to the task's creation; "enqueued" is implied; a line without a
// worker means the one that started last.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "queue/task.h"

namespace msearch::queue {

enum class EventKind : char {
  kStarted = 's',
  kFinished = 'f',
  kError = 'e',
  kCrash = 'c',
  kLost = 'l',
  kReleased = 'r',
  kRetried = 't',
  kCancelled = 'x',
  kQuarantined = 'q',
};

// One line: KIND MILLISECONDS [TAB worker [TAB detail]] LF. `worker` is for kStarted.
std::string EventLine(EventKind kind, Milliseconds since_creation, std::string_view worker = {},
                      std::string_view detail = {});

// The whole history, with "enqueued" first. Lines cut off at the front by the bound on the log's
// size are skipped.
std::vector<TaskEvent> ParseEvents(UnixMs created_at, std::string_view log);

}  // namespace msearch::queue
