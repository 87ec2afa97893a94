#include "queue/redis_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/queue_conformance.h"
#include "support/redis_server.h"

namespace msearch::queue {
namespace {

using test::RedisServer;

// One server for all cases of the suite; each state has a prefix of its own.
RedisServer& SharedServer() {
  static RedisServer server;
  return server;
}

RedisQueueOptions OptionsFor(const RedisServer& server) {
  RedisQueueOptions options;
  options.server.port = server.port();
  return options;
}

class RedisUnderTest final : public QueueUnderTest {
 public:
  RedisUnderTest() {
    static int number = 0;
    prefix_ = "state" + std::to_string(++number) + ":";
  }

  std::unique_ptr<TaskQueue> Open() override {
    RedisQueueOptions options = OptionsFor(SharedServer());
    options.prefix = prefix_;
    options.clock = &clock_;
    // A wake that gets lost would else be made good by a look in time.
    options.look_every = std::chrono::hours(1);
    auto queue = OpenRedisQueue(options);
    EXPECT_TRUE(queue.ok()) << queue.message();
    return *std::move(queue);
  }

 private:
  std::string prefix_;
};

INSTANTIATE_TEST_SUITE_P(Redis, QueueConformance,
                         testing::Values(QueueKind{
                             "redis", [] { return std::make_unique<RedisUnderTest>(); }}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace msearch::queue
