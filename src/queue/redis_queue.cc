// Every transition is one call of a function that runs in the server (redis/*.lua).
#include "queue/redis_queue.h"

#include "base/log.h"
#include "base/strings.h"
#include "queue/change.h"
#include "queue/redis_client.h"
#include "queue/redis_library.h"
#include "queue/task_id.h"

namespace msearch::queue {
namespace {

using storage::Redis;
using storage::RedisCommand;
using storage::RedisReply;

constexpr size_t kTailDigits = 12;

std::string RandomDigits() {
  constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  auto number = static_cast<uint64_t>(RandomTail());
  std::string digits(kTailDigits, '0');
  for (char& digit : digits) {
    digit = kAlphabet[number % 32];
    number /= 32;
  }
  return digits;
}

// As clusters see it: what stands between the first opening brace and the next closing one.
bool HasHashTag(const std::string& prefix) {
  const size_t open = prefix.find('{');
  const size_t close = open == std::string::npos ? open : prefix.find('}', open);
  return close != std::string::npos && close > open + 1;
}

}  // namespace

// Errors of our functions: "MSEARCH code message".
Error RedisQueue::ErrorOf(const RedisReply& reply) {
  constexpr std::string_view kOurs = "MSEARCH ";
  std::string_view text = reply.text;
  if (!text.starts_with(kOurs)) return storage::RedisError(reply);
  text.remove_prefix(kOurs.size());
  const size_t space = text.find(' ');
  return Error{CodeFromName(text.substr(0, space)), std::string(text.substr(space + 1))};
}

bool RedisQueue::IsMissingFunction(const RedisReply& reply) {
  return reply.is_error() && reply.text.find("Function not found") != std::string::npos;
}

Result<std::unique_ptr<TaskQueue>> OpenRedisQueue(const RedisQueueOptions& options) {
  storage::RedisOptions server = options.server;
  server.route_key = options.prefix + "queue:meta";
  auto redis = TRY(Redis::Make(server));
  const RedisHealth health = TRY(CheckRedis(*redis));
  if (!health.faults.empty()) return Error{health.code, health.faults.front()};
  if (health.cluster && !HasHashTag(options.prefix)) {
    return Error{Code::kInvalid,
                 "redis " + redis->where() +
                     ": is a cluster, where all keys of the queue have to live in one slot; set "
                     "redis.prefix to a hash tag, as {msearch}:"};
  }
  for (const std::string& warning : health.warnings) {
    if (options.warns) LOG_WARNING("{}", warning);
  }
  auto queue = std::make_unique<RedisQueue>(options, redis);
  TRY(queue->LoadFunctions());
  TRY(CheckRights(*redis, options.prefix));
  return std::unique_ptr<TaskQueue>(std::move(queue));
}

Result<> RedisQueue::LoadFunctions() {
  const RedisReply reply =
      TRY(redis_->Call(RedisCommand("FUNCTION").Add("LOAD").Add(kRedisLibrary)));
  // Somebody was here before.
  if (!reply.is_error() || reply.text.find("already exists") != std::string::npos) return Ok{};
  return storage::RedisError(reply);
}

RedisCommand RedisQueue::Function(std::string_view name, bool timed) const {
  RedisCommand command("FCALL");
  command.Add(std::string(kRedisLibraryName) + "_" + std::string(name));
  command.Add(1).Add(Key("queue:meta"));
  const std::string clock =
      options_.clock == nullptr ? "" : std::to_string(options_.clock->NowMs());
  command.Add(timed ? clock : "0");
  command.Add(RandomDigits());
  return command;
}

Result<RedisReply> RedisQueue::Run(const Command& command, storage::RedisHaste haste) {
  RedisReply reply = TRY(redis_->Call(command, haste));
  if (IsMissingFunction(reply)) {
    TRY(LoadFunctions());
    reply = TRY(redis_->Call(command));
  }
  if (reply.is_error()) return ErrorOf(reply);
  return reply;
}

Result<UnixMs> RedisQueue::Now() {
  if (options_.clock != nullptr) return options_.clock->NowMs();
  const RedisReply time = TRY(redis_->Ask(RedisCommand("TIME")));
  if (time.items.size() != 2) return Error{Code::kCorrupt, "redis: tells no time"};
  return time.items[0].AsInteger() * 1000 + time.items[1].AsInteger() / 1000;
}

}  // namespace msearch::queue
