// A tiny model of the task queue: what any back end must show after any sequence of calls. Where
// the contract leaves a choice (which id, which of the allowed tasks next, how long a back-off
// exactly), the model takes over the back end's choice after checking that it's allowed.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "queue/task_queue.h"

namespace msearch::queue {

struct ModelTask {
  Task shown;  // as Get must show it
  NewTask::DeadLetter dead_letter;
  Token token;
  std::vector<std::string> history;
  bool fresh = true;  // never started, delayed or blocked: goes strictly by age
};

// Each method answers what is wrong, empty if nothing; or the code that the call must fail with.
class QueueModel {
 public:
  using Fault = std::string;

  explicit QueueModel(UnixMs now) : now_(now) {}

  void Advance(Milliseconds by) { now_ += by.count(); }

  // The task whose unique key is taken, if any.
  std::optional<TaskId> Holder(const std::string& unique_key) const;
  std::optional<Code> RefusesNew(const NewTask& task) const;
  void Add(const NewTask& task, const TaskId& id);

  Fault Take(const LeaseRequest& request, const std::vector<Lease>& leases);
  bool IsHeld(const Lease& lease) const;
  TaskQueue::Held Extend(const Lease& lease, Milliseconds duration);
  // REQUIRES for these: IsHeld. Complete tells whether it took effect.
  bool Complete(const Lease& lease, const Json& result);
  // `available_at` is what the back end chose, for a task that goes back.
  Fault Fail(const Lease& lease, const Error& error, UnixMs available_at);
  void Release(const Lease& lease, Milliseconds delay);
  void SetProgress(const Lease& lease, const Progress& progress);

  std::optional<Code> Cancel(const TaskId& id);
  std::optional<Code> Retry(const TaskId& id);
  void SetPaused(const std::string& queue, bool paused);
  void Maintain(const Retention& retention);

  // Learns the ids of the dead letters left by what happened since the last call. To be called
  // after every call that can make a task fail.
  Fault AdoptLetters(TaskQueue& queue);

  // Differences between what the model and the back end show.
  Fault Compare(TaskQueue& queue) const;
  const std::map<TaskId, ModelTask>& tasks() const { return tasks_; }

 private:
  struct Lane {  // what is remembered of a queue
    bool paused = false;
    int64_t finished_total = 0;
    int64_t failed_total = 0;
    // Of leases so far: how many went by since one jumped ahead of more urgent ones, and how many
    // in a row passed over a priority while all three were there.
    std::array<int, 3> since_jump{100, 100, 100};
    std::array<int, 3> passed_over{0, 0, 0};
  };

  std::vector<const ModelTask*> Ready(const std::string& queue) const;
  Fault TakeOne(const LeaseRequest& request, const Lease& lease);
  Fault CheckOrder(const Task& taken, bool fresh, Lane& lane) const;
  void MakeReady(ModelTask& task);
  void PutBack(ModelTask& task, UnixMs available_at);
  void End(ModelTask& task, Status status, const std::string& reason = "");
  void LeaveLetter(const ModelTask& failed);
  void EndCancelled(ModelTask& task);
  void Lose(ModelTask& task);
  void Settle(const ModelTask& ended);
  Fault CompareTask(const ModelTask& expected, const Task& actual) const;
  Fault CompareStats(TaskQueue& queue) const;

  UnixMs now_;
  Token last_token_;
  std::vector<NewTask> letters_;  // left, and not yet seen
  std::map<TaskId, ModelTask> tasks_;
  std::map<std::string, Lane> lanes_;
};

}  // namespace msearch::queue
