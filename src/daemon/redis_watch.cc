#include "daemon/redis_watch.h"

#include <condition_variable>

#include "base/log.h"
#include "queue/redis_queue.h"

namespace msearch::daemon {

RedisWatch::RedisWatch(std::shared_ptr<storage::Redis> redis, Milliseconds every)
    : redis_(std::move(redis)), thread_([this, every](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any never;
        while (!stop.stop_requested()) {
          Look();
          std::unique_lock lock(mutex);
          never.wait_for(lock, stop, every, [] { return false; });
        }
      }) {}

std::string RedisWatch::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void RedisWatch::Look() {
  const auto health = queue::CheckRedis(*redis_);
  if (!health.ok()) return;
  const std::string problem = health->faults.empty() ? "" : health->faults.front();
  const std::lock_guard lock(mutex_);
  if (problem == problem_) return;
  if (problem.empty()) {
    LOG_INFO("redis: is fit to keep tasks again");
  } else {
    LOG_ERROR("{}", problem);
  }
  problem_ = problem;
}

}  // namespace msearch::daemon
