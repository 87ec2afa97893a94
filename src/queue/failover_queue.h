// The queue as the processes of a controller's machine see it when tasks live on a server (the
// "shared" back end) that may go away: that server, and beside it an embedded queue of this machine
// (the "local" one) that takes over meanwhile.
//
// One process owns the state, the controller; the others of its machine follow the file in which it
// says which back end is current. The states, and what leads from one to the next:
//
//   shared    the server doesn't answer for `patience`             -> local
//   local     the server answers, and goes on so for `patience`    -> draining
//   draining  nothing that was begun locally is left               -> shared
//             the server doesn't answer for `patience`             -> local
//
// New tasks go to the shared back end in the states shared and draining, to the local one in the
// state local. Leases come from the current back end; while draining from the local one first.
// What is only a row of the catalog (`rebuilt`) isn't drained but cancelled: the reconciler makes
// it again where everybody sees it. Some queues (`local_queues`) are of this machine alone and
// never leave it.
//
// Nothing is moved between the back ends, so a task keeps its id and its place. StateId() differs
// between them: the catalog's owner raises the epoch at each change of the current back end, and
// whatever carries an older token is refused where it would take effect on top of newer work.
//
// A lease of the shared back end whose result is ready while that is away: the result counts as
// delivered when its follow-ups are in the local queue. The shared task runs out of its lease later
// and finds its work done.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "queue/task_queue.h"

namespace msearch::queue {

struct FailoverOptions {
  // Connects to the server: kUnavailable or kTimeout while it is away; another error is a fault of
  // the configuration.
  std::function<Result<std::shared_ptr<TaskQueue>>()> open_shared;
  std::shared_ptr<TaskQueue> local;
  std::set<std::string> local_queues;
  std::set<std::string> rebuilt;
  std::string state_path;  // where the owner writes and the others read
  bool owner = false;
  bool fall_back = true;  // owner: whether to leave the server at all
  std::string server;     // for messages: "Redis at HOST:PORT"
  Milliseconds patience{3000};
  Milliseconds look_every{500};
};

class FailoverQueue final : public TaskQueue {
 public:
  // The owner decides the first state before this returns: local when the server is away. Errors:
  // a fault of the configuration; kUnavailable when the server is away and mustn't be left.
  static Result<std::unique_ptr<FailoverQueue>> Open(const FailoverOptions& options);
  ~FailoverQueue() override;

  enum class State { kShared, kLocal, kDraining };
  State state() const { return state_; }
  // Why the server isn't used, for people; empty while it is.
  std::string problem() const;
  // Looks at the server or the file now instead of at the next time. For tests.
  void Look();

  using TaskQueue::Enqueue;
  Result<std::vector<TaskId>> Enqueue(std::span<const NewTask> tasks) override;
  Result<std::vector<Lease>> TakeLeases(const LeaseRequest& request) override;
  Result<> StepBack(const std::string& worker) override;
  Result<std::vector<Held>> Extend(std::span<const Lease> leases, Milliseconds duration) override;
  Result<std::vector<Result<>>> Complete(std::span<const Completion> completions) override;
  Result<> Fail(const Failure& failure) override;
  Result<> Release(const Lease& lease, Milliseconds delay) override;
  Result<> SetProgress(const Lease& lease, const Progress& progress) override;
  Result<> Cancel(const TaskId& id) override;
  Result<> Retry(const TaskId& id) override;
  Result<Task> Get(const TaskId& id) override;
  Result<std::vector<Task>> List(const TaskFilter& filter) override;
  Result<int64_t> Count(const TaskFilter& filter) override;
  Result<std::vector<TaskEvent>> Events(const TaskId& id) override;
  Result<int64_t> CountAhead(const TaskId& id) override;
  Result<Task> EnqueueAndAwait(const NewTask& task, Milliseconds wait_max,
                               std::stop_token stop) override;
  Result<Task> Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) override;
  Result<std::vector<QueueStats>> Stats() override;
  Result<> Pause(const std::string& queue) override;
  Result<> Resume(const std::string& queue) override;
  Result<> Heartbeat(const WorkerInfo& worker, Milliseconds ttl) override;
  Result<> Forget(const std::string& worker_id) override;
  Result<std::vector<WorkerInfo>> Workers() override;
  Result<> Maintain(const Retention& retention) override;
  Result<> RaiseEpoch(uint64_t epoch) override;
  Result<std::string> StateId() override;

 private:
  explicit FailoverQueue(FailoverOptions options) : options_(std::move(options)) {}

  Result<std::shared_ptr<TaskQueue>> Shared();
  // Where new tasks of this queue go, and heartbeats.
  Result<std::shared_ptr<TaskQueue>> Current();
  bool IsLocalQueue(const std::string& name) const { return options_.local_queues.contains(name); }
  bool OnlyLocal(std::span<const std::string> names) const;
  // The back end that a lease is of.
  bool IsLocalLease(const Lease& lease) const;
  // The lease's back end is away, and its task is worked on here by now.
  bool IsLeftBehind(const Lease& lease) const;
  void Forget(const Lease& lease);
  // Calls `call` on the back end that has the task.
  template <typename Call>
  auto OnOwnerOf(const TaskId& id, Call&& call) -> decltype(call(std::declval<TaskQueue&>()));

  void Watch(const std::stop_token& stop);
  Result<> DecideFirst();
  void LookAsOwner();
  void LookAsFollower();
  void TellOfAbsence(const Result<std::string>& answer, SteadyTime now);
  void DropRebuilt();
  Result<bool> Drained();
  void SwitchTo(State state, const std::string& problem);
  void Publish();

  const FailoverOptions options_;
  std::atomic<State> state_{State::kShared};

  mutable std::mutex mutex_;
  std::shared_ptr<TaskQueue> shared_;  // by mutex_; null: not connected yet
  bool connecting_ = false;            // by mutex_
  std::condition_variable connected_;  // after connecting_ ended
  SteadyTime connect_at_{};            // by mutex_
  Error connect_error_;                // by mutex_
  std::stop_source switched_;          // by mutex_: ends waits in the back end of the old state
  std::string problem_;                // by mutex_
  std::set<TaskId> leased_here_;       // by mutex_: of the local back end, in shared queues

  std::mutex look_mutex_;
  SteadyTime answered_at_{};              // by look_mutex_
  std::optional<SteadyTime> back_since_;  // by look_mutex_
  std::string seen_;                      // by look_mutex_: the file, as a follower saw it last
  std::jthread thread_;
};

}  // namespace msearch::queue
