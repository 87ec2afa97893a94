// The queue's contract. Every back end promises, and test/support/queue_conformance holds it to:
// at-least-once delivery with fenced effects; priorities that don't starve the low ones; delays;
// unique keys; batches; flows; progress; cancel that reaches a running task; pause by queue;
// retention; an event log per task; every transition one atomic step; waiting without polling.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "queue/task.h"

namespace msearch::queue {

struct LeaseRequest {
  std::string worker;               // who asks; shown, and compared by nobody
  std::vector<std::string> queues;  // in order of preference
  size_t count_max = 1;             // takes up to so many at once, of one queue
  Milliseconds duration{15000};     // until the lease runs out, unless extended
  Milliseconds wait_max{0};         // for the first task to appear; 0: don't wait
  std::stop_token stop;             // ends the wait early, with an empty result
  // Tasks may be given to this worker between two calls as well, so that they start sooner: it asks
  // again within a second, and calls StepBack when it won't.
  bool stays = false;
};

struct Completion {
  Lease lease;
  Json result;  // small; kept for the retention time
  // Enqueued in the same atomic step, after this task gave up its unique key: a follow-up may
  // carry the same key on.
  std::vector<NewTask> follow_ups;
};

struct Failure {
  Lease lease;
  Error error;
  // Decides what counts: kCrashed counts as a crash; codes for which IsTransient() is false fail
  // for good at once; the rest is tried again after a back-off.
};

struct TaskFilter {
  std::optional<std::string> queue;
  std::optional<std::string> kind;
  std::optional<Status> status;
  std::optional<std::string> reason;
  std::string text;    // contained in payload, error or id
  bool stuck = false;  // started, and the lease has run out or has nearly
  TaskId parent;
  size_t limit = 100;
  TaskId before;  // for paging: ids smaller than this (newest first); empty: from the top
};

struct QueueStats {
  std::string name;
  int64_t queued = 0;  // ready to start, delayed and waiting ones included
  int64_t delayed = 0;
  int64_t started = 0;
  int64_t finished = 0;  // still retained
  int64_t failed = 0;
  int64_t cancelled = 0;
  int64_t finished_total = 0;  // ever, since the back end was made
  int64_t failed_total = 0;
  double mean_ms = 0;  // of the last finished attempts, start to finish
  bool paused = false;
};

// A process that works, or anything else that wants to be seen (supervisor, controller).
struct WorkerInfo {
  std::string id;  // unique: "host:pid:role:n"
  std::string role;
  std::string host;
  int64_t pid = 0;
  std::string state;             // "idle", "busy", "stopping", ...
  Json detail = Json::object();  // device, model, current file, restarts, memory ...
  UnixMs started_at = 0;
  UnixMs seen_at = 0;  // filled by the queue
};

struct Retention {
  Milliseconds finished{3600 * 1000};
  Milliseconds failed{int64_t{14} * 24 * 3600 * 1000};
  int64_t rows_max = 200000;  // of ended tasks; the oldest go first
};

// Thread-safe. All calls are bounded in time and fail with kUnavailable or kExhausted when the
// back end is away or full; kStale for a lease that is no longer the latest (the caller drops its
// work: somebody else has the task, or it ended).
class TaskQueue {
 public:
  virtual ~TaskQueue() = default;

  // Ids in order; of the existing task where a unique key was taken. All or none. kInvalid,
  // kTooLarge, or kNotFound for a task to follow that isn't known.
  virtual Result<std::vector<TaskId>> Enqueue(std::span<const NewTask> tasks) = 0;
  Result<TaskId> Enqueue(const NewTask& task);

  // Up to count_max tasks; empty when none came within wait_max. Expired leases are recovered
  // first. High priority goes before normal before low, but of every 10 tasks leased from a queue
  // that has all three, at least 1 is the oldest normal and 1 the oldest low one. A lease that
  // has run out is honoured by no call, whether or not somebody has recovered the task yet.
  virtual Result<std::vector<Lease>> TakeLeases(const LeaseRequest& request) = 0;
  // The worker asks no more for the time being: what it was given and hasn't asked for goes back.
  virtual Result<> StepBack(const std::string& worker);
  // For each lease, whether it's still held (false: drop the work) — false also when the task's
  // cancellation was asked for, which `cancelled` tells apart.
  struct Held {
    bool held = false;
    bool cancelled = false;
  };
  virtual Result<std::vector<Held>> Extend(std::span<const Lease> leases,
                                           Milliseconds duration) = 0;

  // Each completion alone is atomic with its follow-ups; the answers tell for each whether it
  // took effect. kStale if not, also when cancellation was asked for before: the task ends as
  // cancelled. kInvalid, kTooLarge, kNotFound for a result or follow-up that can't be stored: the
  // lease is still held.
  virtual Result<std::vector<Result<>>> Complete(std::span<const Completion> completions) = 0;
  virtual Result<> Fail(const Failure& failure) = 0;
  // Gives the task back untouched, so that another worker may start it at once. Used when this
  // process is stopping, or can't do it now: an interruption is not the task's fault, so it
  // counts neither as an attempt nor as an error.
  virtual Result<> Release(const Lease& lease, Milliseconds delay = Milliseconds(0)) = 0;
  virtual Result<> SetProgress(const Lease& lease, const Progress& progress) = 0;

  // A queued task ends at once, a started one when its worker notices (Extend), at the latest
  // when its lease runs out; nothing that it completes from now on has an effect. kConflict when
  // it ended already.
  virtual Result<> Cancel(const TaskId& id) = 0;
  // Queues a failed, cancelled or quarantined task again with its counts at zero; releases a
  // started one whose lease ran out. kConflict otherwise, also while a task that it follows has
  // failed (retry that first) or its unique key is taken by another.
  virtual Result<> Retry(const TaskId& id) = 0;

  virtual Result<Task> Get(const TaskId& id) = 0;  // kNotFound
  virtual Result<std::vector<Task>> List(const TaskFilter& filter) = 0;
  virtual Result<int64_t> Count(const TaskFilter& filter) = 0;  // limit and before are ignored
  virtual Result<std::vector<TaskEvent>> Events(const TaskId& id) = 0;
  // How many tasks of its queue are ready and would be leased before this one: those of a higher
  // priority and the older ones of its own, whatever turns the lower ones get. 0 for a task that
  // isn't queued; kNotFound.
  virtual Result<int64_t> CountAhead(const TaskId& id);
  // Enqueue and Await in one, for who wants nothing but the result.
  virtual Result<Task> EnqueueAndAwait(const NewTask& task, Milliseconds wait_max,
                                       std::stop_token stop);
  // Returns when the task ended or after `wait_max`, with its state then.
  virtual Result<Task> Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) = 0;

  virtual Result<std::vector<QueueStats>> Stats() = 0;
  virtual Result<> Pause(const std::string& queue) = 0;
  virtual Result<> Resume(const std::string& queue) = 0;

  // Seen for `ttl` from now on.
  virtual Result<> Heartbeat(const WorkerInfo& worker, Milliseconds ttl) = 0;
  virtual Result<> Forget(const std::string& worker_id) = 0;
  virtual Result<std::vector<WorkerInfo>> Workers() = 0;

  // Recovers expired leases, starts delayed tasks, removes what outlived its retention. Any
  // process may call it at any time; the controller does so every second.
  virtual Result<> Maintain(const Retention& retention) = 0;

  // The catalog's epoch, for new tokens; never lowered. state_id names the back end's present
  // state: another value than last time means that the state was lost or swapped.
  virtual Result<> RaiseEpoch(uint64_t epoch) = 0;
  virtual Result<std::string> StateId() = 0;
};

// The embedded back end: one SQLite file shared by the processes of one machine, with a small
// file beside it, PATH.wake, through which they wake each other.
struct EmbeddedOptions {
  std::string path;
  bool synchronous_full = false;
  // Of the process that owns it: to which library the queue belongs, since its tasks name files by
  // the numbers that they have there. What another one left in it is removed, so that the state is
  // another. Empty: whosever it is.
  std::string library;
  const Clock* clock = nullptr;  // null: the system's
  // The longest sleep of a waiting call without a look of its own, should a wake get lost (a
  // wake file deleted by hand).
  Milliseconds look_every{2000};
};
Result<std::unique_ptr<TaskQueue>> OpenEmbeddedQueue(const EmbeddedOptions& options);

}  // namespace msearch::queue
