// The loop of a worker process: lease, heartbeat, run, complete or fail, until asked to stop.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "queue/task_queue.h"

namespace msearch::queue {

// How one task of a batch ended.
struct Outcome {
  Result<> status = Ok{};  // an error becomes a Failure
  bool release = false;    // give it back untouched instead, after `delay`
  Milliseconds delay{0};
  Json result = Json::object();
  std::vector<NewTask> follow_ups;
};

// What a handler may ask and tell while it works. Thread-safe.
class TaskContext {
 public:
  virtual ~TaskContext() = default;
  // True when the task was cancelled, its lease was lost, its time is up or the process is asked
  // to stop at once: return soon, the outcome won't count.
  virtual bool ShouldStop() const = 0;
  virtual std::stop_token stop_token() const = 0;
  virtual void SetProgress(const Progress& progress) = 0;
  virtual const Lease& lease() const = 0;
};

// Handles a batch of tasks of one kind; one outcome per task, in order.
using BatchHandler =
    std::function<std::vector<Outcome>(std::span<const std::unique_ptr<TaskContext>> tasks)>;

struct WorkerOptions {
  // id, role, ...; state and detail are kept up to date. To `detail` are added "queues",
  // "clock_ms" (this machine's), "utilisation" (share of the last minute or so that handlers ran),
  // "tasks_done" and "stale_results" (refused because the lease was lost).
  WorkerInfo info;
  // In order of preference; but one of five times another queue is asked first, each in its turn,
  // so that a busy queue can't starve the others.
  std::vector<std::string> queues;
  // More queues, behind those; asked before each lease and by the heart, so it has to be
  // thread-safe. May be empty.
  std::function<std::vector<std::string>()> more_queues;
  size_t batch_max = 1;
  Milliseconds lease_duration{15000};            // extended three times as often
  std::map<std::string, BatchHandler> handlers;  // by kind; an unknown kind fails as unsupported
  std::function<Json()> detail;                  // for the heartbeat; may be empty
  // Asked before each lease: while it says no the worker takes nothing, looks again within a
  // second, and shows itself as "unable". For what the process lacks to do any of its tasks: a
  // model, the machine that its files come from. May be empty.
  std::function<bool()> ready;
  // Where results wait that the queue can't be told of, so that they outlive this process and are
  // offered again when a worker with this folder starts. Empty: they wait in memory only.
  std::string spool_directory;
  // Called about once a second while idle, e.g. to unload a model. May be empty.
  std::function<void()> idle;
};

// Runs until `stop`; a batch under way is finished if that takes less than `grace`, else its
// leases are given back. Returns when all is given back and the worker is forgotten. Survives a
// back end that is away: retries with back-off, forever.
void RunWorker(TaskQueue& queue, const WorkerOptions& options, std::stop_token stop,
               Milliseconds grace);

}  // namespace msearch::queue
