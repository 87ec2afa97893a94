// The Redis back end as a class; redis_queue.h has what others need.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "queue/redis_queue.h"
#include "queue/redis_task.h"
#include "storage/redis.h"

namespace msearch::queue {

class RedisQueue final : public TaskQueue {
 public:
  RedisQueue(const RedisQueueOptions& options, std::shared_ptr<storage::Redis> redis);

  using TaskQueue::Enqueue;
  Result<std::vector<TaskId>> Enqueue(std::span<const NewTask> tasks) override;
  Result<std::vector<Lease>> TakeLeases(const LeaseRequest& request) override;
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

  // Puts our functions into the server, unless it has them.
  Result<> LoadFunctions();

 private:
  using Command = storage::RedisCommand;
  using Reply = storage::RedisReply;

  std::string Key(std::string_view name) const { return options_.prefix + std::string(name); }
  // A call of one of our functions, up to its own arguments. `timed`: it wants to know the time.
  Command Function(std::string_view name, bool timed = true) const;
  // Brings the functions back when the server has lost them.
  Result<Reply> Run(const Command& command);
  // The same for functions that answer whether a lease is honoured.
  Result<> RunHeld(const Command& command, const Lease& lease);
  // Calls until it sees to less than `step` at once.
  Result<> Repeat(const Command& command, int64_t step);
  Result<UnixMs> Now();

  // What `take` gives when there is nothing to lease.
  struct Outlook {
    std::optional<Milliseconds> next_due;
    std::vector<std::string> tickets;  // where each queue's stream of wakes ended
  };
  Result<std::vector<Lease>> TakeNow(const LeaseRequest& request, Outlook& outlook);
  Result<std::vector<Lease>> ReadLeases(const Reply& reply, const LeaseRequest& request);

  // A call that waits in the server goes on between two calls of ours, so that a worker that asks
  // every second costs the server nothing.
  struct Sleep {
    std::string queues;
    std::unique_ptr<storage::Redis::Waiting> waiting;
    SteadyTime over_at;  // when the server has to have answered
  };
  Result<Sleep> FallAsleep(const std::vector<std::string>& queues, const Outlook& outlook);
  std::optional<Sleep> FindSleep(const std::string& queues);

  struct Seen {
    StoredTask stored;
    std::string events;
  };
  // Those of the tasks that exist, in order. `awaited`: be told of their end.
  Result<std::vector<Seen>> Look(std::span<const TaskId> ids, bool awaited = false);
  Result<Seen> LookAt(const TaskId& id, bool awaited = false);
  // The same from what is told about the end of a task that is waited for.
  static Result<Seen> ReadEnd(const TaskId& id, std::string_view told);
  // Ids that may pass the filter, newest first, a portion at a time, until `use` has enough.
  Result<> ForEachCandidate(const TaskFilter& filter,
                            const std::function<Result<bool>(std::span<const TaskId>)>& use);
  Result<std::vector<TaskId>> ReadLists(const std::vector<Command>& commands);
  Result<std::vector<std::string>> QueueNames(const TaskFilter& filter);
  Result<> WalkIndex(const TaskId& before,
                     const std::function<Result<bool>(std::span<const TaskId>)>& use);
  // Gives all that pass, as long as `use` wants more.
  Result<> ForEachMatch(const TaskFilter& filter, const std::function<bool(Task)>& use);

  const RedisQueueOptions options_;
  const std::shared_ptr<storage::Redis> redis_;
  std::mutex mutex_;
  std::vector<Sleep> asleep_;  // by mutex_
};

}  // namespace msearch::queue
