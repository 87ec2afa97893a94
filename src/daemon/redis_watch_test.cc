#include "daemon/redis_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/strings.h"
#include "support/eventually.h"
#include "support/redis_server.h"

namespace msearch::daemon {
namespace {

using test::Eventually;
using test::RedisServer;
using testing::HasSubstr;

std::shared_ptr<storage::Redis> ClientOf(const RedisServer& server) {
  storage::RedisOptions options;
  options.port = server.port();
  return storage::Redis::Make(options).value();
}

// Of INFO: the number after "NAME:" or after "NAME:calls=".
int64_t Figure(const std::string& info, const std::string& name) {
  const size_t at = info.find(name);
  return at == std::string::npos ? 0 : std::stoll(info.substr(at + name.size()));
}

TEST(RedisWatch, LooksAgainAndAgainOnOneConnection) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer server;
  const auto connections = [&] {
    return Figure(server.Call({"INFO", "stats"}), "total_connections_received:");
  };
  const int64_t before = connections();
  const RedisWatch watch(ClientOf(server), Milliseconds(5));
  int64_t own = 1;  // each question of this test is a connection, too
  ASSERT_TRUE(Eventually([&] {
    ++own;
    return Figure(server.Call({"INFO", "commandstats"}), "cmdstat_time:calls=") >= 50;
  }));
  EXPECT_LE(connections() - before - own, 2);
}

TEST(RedisWatch, SeesWhatIsConfiguredAnewAndComesBackWithTheServer) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  RedisServer server;
  const RedisWatch watch(ClientOf(server), Milliseconds(10));
  server.Call({"CONFIG", "SET", "maxmemory", "100mb"});
  server.Call({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
  ASSERT_TRUE(Eventually([&] { return !watch.problem().empty(); }));
  EXPECT_THAT(watch.problem(), HasSubstr("maxmemory-policy is allkeys-lru"));
  server.Kill();
  server.Restart();  // as it was configured at first
  EXPECT_TRUE(Eventually([&] { return watch.problem().empty(); })) << watch.problem();
}

}  // namespace
}  // namespace msearch::daemon
