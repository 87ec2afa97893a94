// Looks now and then whether the server may still be trusted with tasks, since it can be configured
// anew while it runs. That it is away isn't its concern.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "storage/redis.h"

namespace msearch::daemon {

// Thread-safe.
class RedisWatch {
 public:
  explicit RedisWatch(std::shared_ptr<storage::Redis> redis, Milliseconds every = kEvery);

  // What is wrong, for people; empty: nothing.
  std::string problem() const;

 private:
  static constexpr Milliseconds kEvery{15000};

  void Look();

  const std::shared_ptr<storage::Redis> redis_;  // keeps its connection from one look to the next
  mutable std::mutex mutex_;
  std::string problem_;  // by mutex_
  std::jthread thread_;
};

}  // namespace msearch::daemon
