// Tasks: units of work that outlive the processes that run them. Nothing here knows of media.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::queue {

// Sortable by creation time, unique everywhere: "t" + 26 characters (ULID).
using TaskId = std::string;

enum class Priority { kHigh, kNormal, kLow };
std::string_view PriorityName(Priority priority);
std::optional<Priority> PriorityFromName(std::string_view name);

enum class Status { kQueued, kStarted, kFinished, kFailed, kCancelled };
std::string_view StatusName(Status status);
std::optional<Status> StatusFromName(std::string_view name);

// Proves that its holder is the latest to hold a task. Grows with every lease; the epoch belongs
// to the catalog and grows when the queue's back end changes or lost its state, so tokens of two
// back ends compare. Whoever applies an effect of a task remembers the highest token seen.
struct Token {
  uint64_t epoch = 0;
  uint64_t counter = 0;
  auto operator<=>(const Token&) const = default;
};

// Attempts, waits and limits of a kind of task.
struct RetryPolicy {
  int errors_max = 5;   // attempts that may end in a transient error before it fails for good
  int crashes_max = 2;  // attempts that may kill their child before it's quarantined
  int losses_max = 10;  // leases that may run out before it fails for good
  Milliseconds backoff_first{1000};
  Milliseconds backoff_max{300000};
  bool operator==(const RetryPolicy&) const = default;
};

// Exponential back-off with full jitter in its upper half: between half and all of
// min(first * 2^(failures-1), max). `random` is uniform in [0, 1).
Milliseconds Backoff(const RetryPolicy& policy, int failures, double random);

struct NewTask {
  std::string queue;              // "tasks", "embed", ...: [a-z0-9_-]{1,64}
  std::string kind;               // what to do, within the queue's workers: "prepare"
  Json payload = Json::object();  // small; at most kPayloadBytesMax as text. Bytes go into blobs
  Priority priority = Priority::kNormal;
  // At most one task with this key is queued or started at a time: enqueueing a second gives the
  // first one's id and changes nothing. Empty: none.
  std::string unique_key;
  Milliseconds delay{0};
  Milliseconds timeout{600000};  // for one attempt; the worker gives up and it counts as an error
  RetryPolicy retry;
  std::vector<TaskId> after;  // starts only when all of these have finished; fails if one fails
  TaskId parent;              // shown as a tree
  // When this task fails for good (not when it's cancelled), a task of this queue and kind is
  // enqueued in the same atomic step, with this task's unique key, priority and retry policy and
  // the payload {"task_id", "error": {"code", "message"}, "attempts", "token": [epoch, counter] of
  // the last lease, "payload": the failed task's}. No queue: none.
  struct DeadLetter {
    std::string queue;
    std::string kind;
  } dead_letter;
};
constexpr size_t kPayloadBytesMax = 256 << 10;

struct Progress {
  double fraction = 0;  // 0..1
  std::string stage;
  std::string message;
};

struct Task {
  TaskId id;
  std::string queue;
  std::string kind;
  Json payload;
  Priority priority = Priority::kNormal;
  std::string unique_key;
  Status status = Status::kQueued;
  std::string reason;  // finer than status: "delayed", "paused", "waiting" (for what it follows);
                       // of failed ones "quarantined", "lost", "dependency"; else ""
  Progress progress;
  int attempts = 0;  // leases that counted: ended by finish, error, crash or loss
  int errors = 0;
  int crashes = 0;
  int losses = 0;
  RetryPolicy retry;
  Milliseconds timeout{0};
  UnixMs created_at = 0;
  UnixMs available_at = 0;  // not before
  std::optional<UnixMs> started_at;
  std::optional<UnixMs> finished_at;
  std::optional<Json> result;
  std::optional<Error> error;  // of the last attempt that failed
  std::string worker;          // that holds or held the lease
  std::optional<UnixMs> lease_until;
  bool cancel_requested = false;
  std::vector<TaskId> after;
  TaskId parent;
};

// What a worker holds while it works on a task. Copyable; only the latest one is honoured.
struct Lease {
  Task task;
  Token token;
  std::string worker;
};

// One line of a task's history.
struct TaskEvent {
  UnixMs at = 0;
  std::string what;  // "enqueued", "started", "finished", "error", "crash", "lost", "released",
                     // "retried", "cancelled", "quarantined"
  std::string worker;
  std::string detail;
};

}  // namespace msearch::queue
