#include "queue/task_queue.h"

namespace msearch::queue {

Result<TaskId> TaskQueue::Enqueue(const NewTask& task) {
  std::vector<TaskId> ids = TRY(Enqueue(std::span(&task, 1)));
  return std::move(ids.front());
}

Result<> TaskQueue::StepBack(const std::string& /*worker*/) { return Ok{}; }

Result<Task> TaskQueue::EnqueueAndAwait(const NewTask& task, Milliseconds wait_max,
                                        std::stop_token stop) {
  const TaskId id = TRY(Enqueue(task));
  return Await(id, wait_max, std::move(stop));
}

// By looking at every queued task: back ends that can count quicker do.
Result<int64_t> TaskQueue::CountAhead(const TaskId& id) {
  const Task own = TRY(Get(id));
  if (own.status != Status::kQueued) return 0;
  TaskFilter filter;
  filter.queue = own.queue;
  filter.status = Status::kQueued;
  filter.limit = 1000;
  int64_t ahead = 0;
  while (true) {
    const std::vector<Task> page = TRY(List(filter));
    for (const Task& task : page) {
      const bool ready = task.reason.empty() || task.reason == "paused";
      const bool older = task.priority == own.priority && task.id < id;
      if (ready && (task.priority < own.priority || older)) ++ahead;
    }
    if (page.size() < filter.limit) return ahead;
    filter.before = page.back().id;
  }
}

}  // namespace msearch::queue
