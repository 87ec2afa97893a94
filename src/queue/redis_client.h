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
  ~RedisQueue() override;

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

  // Puts our functions into the server, unless it has them.
  Result<> LoadFunctions();

 private:
  using Command = storage::RedisCommand;
  using Reply = storage::RedisReply;

  std::string Key(std::string_view name) const { return options_.prefix + std::string(name); }
  static Error ErrorOf(const Reply& reply);
  static bool IsMissingFunction(const Reply& reply);
  // A call of one of our functions, up to its own arguments. `timed`: it wants to know the time.
  Command Function(std::string_view name, bool timed = true) const;
  // Brings the functions back when the server has lost them.
  Result<Reply> Run(const Command& command, storage::RedisHaste haste = {});
  // The same for functions that answer whether a lease is honoured.
  Result<> RunHeld(const Command& command, const Lease& lease);
  // Calls until it sees to less than `step` at once.
  Result<> Repeat(const Command& command, int64_t step);
  Result<UnixMs> Now();
  // Claims the queue for our library; empty when another one's claim has ended.
  Result<std::string> Own(Milliseconds duration, bool takes_over);

  // A channel that tasks come through, and what is known about it.
  struct Hand {
    std::string queues;  // that it is for, in any order
    std::string worker;
    bool stays = false;
    Milliseconds duration{0};
    std::string channel;
    std::unique_ptr<storage::Redis::Subscription> messages;
    bool parked = false;   // unless a message is on its way
    SteadyTime look_at{};  // while parked: when to look again
    // How it was asked for last, and how many of the tasks that came are still under work.
    int64_t size = 0;
    std::vector<std::string> order;
    size_t under_work = 0;
    bool busy = false;  // some came the last time
  };
  Result<std::unique_ptr<Hand>> FindHand(const LeaseRequest& request);
  // Parks the hand, if there is one, when there is nothing to lease.
  Result<std::vector<Lease>> TakeNow(const LeaseRequest& request, Hand* hand);
  // What came into the hand, which ends its parking; nothing when nothing came.
  Result<std::optional<std::vector<Lease>>> Listen(Hand& hand, SteadyTime deadline,
                                                   const std::stop_token& stop);
  void SetAlarm(Hand& hand, const Reply& due) const;
  void Keep(std::unique_ptr<Hand> hand);  // for the worker's next call
  // The hand of the worker that completes the last of what it had, to be parked in the same step.
  std::unique_ptr<Hand> FindIdle(std::span<const Completion> completions);
  void AddHand(Command& command, const Hand* hand) const;
  static Result<std::vector<Lease>> ReadLeases(const Reply& reply, const std::string& worker,
                                               Milliseconds duration);

  struct Seen {
    StoredTask stored;
    std::string events;
  };
  // Those of the tasks that exist, in order.
  Result<std::vector<Seen>> Look(std::span<const TaskId> ids);
  Result<Seen> LookAt(const TaskId& id);
  static Result<std::vector<Seen>> ReadLook(const Reply& reply);
  // The same from the hash and the definition apart from it, as they were, and what was told about
  // the end since.
  static Result<Seen> ReadEnd(const TaskId& id, Reply hash, std::string_view data,
                              std::string_view told);
  // A channel through which the ends of tasks are told. One that was left to wait in vain isn't
  // kept.
  struct Ear {
    std::string channel;
    std::unique_ptr<storage::Redis::Subscription> messages;
  };
  Result<std::unique_ptr<Ear>> FindEar();
  // What is told of the end of this task, or nothing by then; the ear is gone if it broke.
  static std::optional<std::string> Hear(std::unique_ptr<Ear>& ear, const TaskId& id,
                                         SteadyTime deadline, const std::stop_token& stop);
  void Keep(std::unique_ptr<Ear> ear);  // for the next who waits
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
  // By mutex_: those that no call is using.
  std::vector<std::unique_ptr<Hand>> hands_;
  std::vector<std::unique_ptr<Ear>> ears_;
};

}  // namespace msearch::queue
