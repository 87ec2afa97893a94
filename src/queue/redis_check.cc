// Whether a server can be trusted with tasks.
#include <charconv>
#include <map>

#include "base/strings.h"
#include "queue/redis_queue.h"

namespace msearch::queue {
namespace {

using storage::RedisCommand;
using storage::RedisReply;

constexpr int kVersionMin = 7;

std::map<std::string, std::string, std::less<>> ParseInfo(std::string_view text) {
  std::map<std::string, std::string, std::less<>> values;
  for (const std::string_view line : Split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    values.emplace(line.substr(0, colon), Trim(line.substr(colon + 1)));
  }
  return values;
}

int64_t Number(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Whether it writes snapshots; nothing where asking isn't allowed.
std::optional<bool> SavesSnapshots(storage::Redis& redis) {
  const auto reply = redis.Ask(RedisCommand("CONFIG").Add("GET").Add("save"));
  if (!reply.ok() || reply->items.size() != 2) return std::nullopt;
  return !reply->items[1].text.empty();
}

}  // namespace

Result<QueueLibrary> LibraryOf(storage::Redis& redis, const std::string& prefix) {
  const RedisReply reply =
      TRY(redis.Ask(RedisCommand("HMGET").Add(prefix + "queue:library").Add("id").Add("place")));
  if (reply.items.size() != 2) return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  return QueueLibrary{reply.items[0].text, reply.items[1].text};
}

Result<> CheckRights(storage::Redis& redis, const std::string& prefix) {
  // Channels that nobody listens to.
  const std::string hand = prefix + "queue:hand:0";
  for (const RedisCommand& command : {RedisCommand("SPUBLISH").Add(hand).Add(""),
                                      RedisCommand("PUBSUB").Add("SHARDNUMSUB").Add(hand)}) {
    const RedisReply reply = TRY(redis.Call(command));
    if (!reply.is_error()) continue;
    const Error error = storage::RedisError(reply);
    if (error.code == Code::kPermission) return error;
  }
  return Ok{};
}

Result<RedisHealth> CheckRedis(storage::Redis& redis) {
  const RedisReply info = TRY(redis.Ask(RedisCommand("INFO")));
  const auto values = ParseInfo(info.text);
  const auto value = [&](std::string_view key) {
    const auto found = values.find(key);
    return found == values.end() ? std::string() : found->second;
  };
  const std::string where = "redis " + redis.where() + ": ";
  RedisHealth health;
  health.version = value("redis_version");
  health.used_memory = Number(value("used_memory"));
  health.maxmemory = Number(value("maxmemory"));
  health.cluster = value("cluster_enabled") == "1";
  if (Number(health.version) < kVersionMin) {
    health.faults.push_back(where + "version " + health.version + " is too old, 7.0 is needed");
  }
  const std::string policy = value("maxmemory_policy");
  if (health.maxmemory > 0 && !policy.empty() && policy != "noeviction") {
    if (health.faults.empty()) health.code = Code::kInvalid;
    health.faults.push_back(where + "maxmemory-policy is " + policy +
                            " and would drop tasks when memory is full; set it to noeviction");
  }
  if (value("aof_enabled") == "0") {
    const std::optional<bool> snapshots = SavesSnapshots(redis);
    if (snapshots == false) {
      health.warnings.push_back(
          where + "keeps nothing on disk; a restart loses every task (set appendonly yes)");
    } else if (snapshots == true) {
      health.warnings.push_back(
          where +
          "writes snapshots only; a crash loses the tasks of the last minutes "
          "(set appendonly yes)");
    }
  }
  const int64_t before = SystemClock().NowMs();
  const auto time = redis.Ask(RedisCommand("TIME"));
  if (time.ok() && time->items.size() == 2) {
    const int64_t here = (before + SystemClock().NowMs()) / 2;
    health.clock_ahead_ms =
        time->items[0].AsInteger() * 1000 + time->items[1].AsInteger() / 1000 - here;
  }
  return health;
}

}  // namespace msearch::queue
