// Results that the queue couldn't be told of while its server was away, kept on disk so that they
// outlive the worker's process. One folder for each worker, numbered the same after a restart.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "queue/task_queue.h"

namespace msearch::queue {

// Not thread-safe.
class Spool {
 public:
  // Keeps nothing when `directory` is empty.
  explicit Spool(std::string directory);

  // Writes one file with all of them; the name to remove it by. Empty when nothing is kept.
  std::string Keep(std::span<const Completion> completions);
  void Remove(const std::string& name);
  // What earlier processes left, offered to the queue: what it takes or refuses for good is
  // removed; what it can't be told now stays. The number of results that took effect.
  int Deliver(TaskQueue& queue);

 private:
  const std::string directory_;
};

}  // namespace msearch::queue
