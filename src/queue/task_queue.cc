#include "queue/task_queue.h"

namespace msearch::queue {

Result<TaskId> TaskQueue::Enqueue(const NewTask& task) {
  std::vector<TaskId> ids = TRY(Enqueue(std::span(&task, 1)));
  return std::move(ids.front());
}

}  // namespace msearch::queue
