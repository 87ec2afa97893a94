// Why a task isn't running, or isn't done, in one sentence.
#pragma once

#include <string>

#include "queue/task_queue.h"

namespace msearch::ingest {

// Empty for a task that has finished; of one that failed or was cancelled, why it won't run. Looks
// at the queues and the workers that are seen.
Result<std::string> WhyNotDone(queue::TaskQueue& queue, const queue::Task& task,
                               const Clock& clock = SystemClock());

}  // namespace msearch::ingest
