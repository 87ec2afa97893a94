// Whether the tasks that a compute server takes are those of its controller's library. They name
// files by the catalog's numbers, so with the Redis of one library and the controller of another
// the wrong files would be read for them, and what was found be stored as theirs.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "queue/redis_queue.h"

namespace msearch::daemon {

// Thread-safe.
class LibraryGuard {
 public:
  // `library`: what the controller says it has.
  LibraryGuard(std::shared_ptr<storage::Redis> redis, std::string prefix, std::string library);
  // Asks Redis. One that doesn't answer, or whose queue is nobody's, changes nothing: no task comes
  // from there.
  bool Ours();
  // As it was seen last; while it isn't ours, asks again now and then.
  bool Ready();
  // Why it isn't ours; empty while it is.
  std::string problem() const;

 private:
  const std::shared_ptr<storage::Redis> redis_;
  const std::string prefix_;
  const std::string library_;
  mutable std::mutex mutex_;
  std::string problem_;    // by mutex_
  SteadyTime asked_at_{};  // by mutex_
};

}  // namespace msearch::daemon
