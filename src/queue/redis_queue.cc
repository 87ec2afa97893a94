// Every transition is one call of a function that runs in the server (redis/*.lua). Whoever finds
// nothing to do reads the streams of wakes of his queues from where they ended when he looked, so
// that nothing that comes after the look is missed; the server answers when a list of ready tasks
// ceases to be empty, or when something falls due.
#include "queue/redis_queue.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "queue/change.h"
#include "queue/redis_client.h"
#include "queue/redis_library.h"
#include "queue/task_id.h"

namespace msearch::queue {
namespace {

using std::chrono::steady_clock;
using storage::Redis;
using storage::RedisCommand;
using storage::RedisReply;

constexpr size_t kTailDigits = 12;
// Beyond what a wait may take in the server, until its connection counts as broken.
constexpr Milliseconds kLate{5000};

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

// Errors of our functions: "MSEARCH code message".
Error ErrorOf(const RedisReply& reply) {
  constexpr std::string_view kOurs = "MSEARCH ";
  std::string_view text = reply.text;
  if (!text.starts_with(kOurs)) return storage::RedisError(reply);
  text.remove_prefix(kOurs.size());
  const size_t space = text.find(' ');
  return Error{CodeFromName(text.substr(0, space)), std::string(text.substr(space + 1))};
}

}  // namespace

Result<std::unique_ptr<TaskQueue>> OpenRedisQueue(const RedisQueueOptions& options) {
  storage::RedisOptions server = options.server;
  server.route_key = options.prefix + "queue:meta";
  auto redis = TRY(Redis::Make(server));
  const RedisHealth health = TRY(CheckRedis(*redis));
  if (!health.faults.empty()) return Error{health.code, health.faults.front()};
  for (const std::string& warning : health.warnings) LOG_WARNING("{}", warning);
  auto queue = std::make_unique<RedisQueue>(options, std::move(redis));
  TRY(queue->LoadFunctions());
  return std::unique_ptr<TaskQueue>(std::move(queue));
}

RedisQueue::RedisQueue(const RedisQueueOptions& options, std::shared_ptr<Redis> redis)
    : options_(options), redis_(std::move(redis)) {}

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

Result<RedisReply> RedisQueue::Run(const Command& command) {
  RedisReply reply = TRY(redis_->Call(command));
  if (reply.is_error() && reply.text.find("Function not found") != std::string::npos) {
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

// --- Leasing

Result<std::vector<Lease>> RedisQueue::ReadLeases(const Reply& reply, const LeaseRequest& request) {
  std::vector<Lease> leases;
  const auto& items = reply.items;
  if (items.size() < 4) return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  const auto epoch = static_cast<uint64_t>(items[1].AsInteger());
  auto counter = static_cast<uint64_t>(items[2].AsInteger());
  const UnixMs now = items[3].AsInteger();
  for (size_t i = 4; i + 1 < items.size(); i += 2) {
    ++counter;
    const RedisReply& item = items[i + 1];
    std::string_view data;
    if (item.items.size() >= 2 && item.items[item.items.size() - 2].text == "data") {
      data = item.items.back().text;
    }
    const bool fresh = item.type == RedisReply::Type::kText;
    StoredTask stored = fresh ? TRY(UnpackNewTask(items[i].text, item.text))
                              : TRY(UnpackTask(items[i].text, item, data));
    Lease lease;
    lease.task = std::move(stored.task);
    lease.task.payload = TRY(ParseJson(stored.payload));
    lease.task.status = Status::kStarted;
    lease.task.worker = request.worker;
    lease.task.started_at = now;
    lease.task.lease_until = now + request.duration.count();
    lease.token = {epoch, counter};
    lease.worker = request.worker;
    leases.push_back(std::move(lease));
  }
  return leases;
}

Result<std::vector<Lease>> RedisQueue::TakeNow(const LeaseRequest& request, Outlook& outlook) {
  RedisCommand command = Function("take");
  command.Add(static_cast<int64_t>(request.count_max)).Add(request.duration.count());
  command.Add(request.worker);
  for (const std::string& queue : request.queues) command.Add(queue);
  const RedisReply reply = TRY(Run(command));
  if (reply.items.size() < 2) return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  if (!reply.items[0].text.empty()) return ReadLeases(reply, request);
  outlook.next_due.reset();
  if (!reply.items[1].text.empty()) outlook.next_due = Milliseconds(reply.items[1].AsInteger());
  outlook.tickets.clear();
  for (size_t i = 2; i < reply.items.size(); ++i) outlook.tickets.push_back(reply.items[i].text);
  return std::vector<Lease>();
}

Result<RedisQueue::Sleep> RedisQueue::FallAsleep(const std::vector<std::string>& queues,
                                                 const Outlook& outlook) {
  Milliseconds longest = options_.look_every;
  if (outlook.next_due) longest = std::min(longest, *outlook.next_due);
  longest = std::max(longest, Milliseconds(1));
  RedisCommand command("XREAD");
  command.Add("BLOCK").Add(longest.count()).Add("STREAMS");
  for (const std::string& queue : queues) command.Add(Key("queue:" + queue + ":wake"));
  for (const std::string& ticket : outlook.tickets) command.Add(ticket);
  Sleep sleep;
  sleep.queues = Join(queues, ",");
  sleep.waiting = TRY(redis_->Wait(command));
  sleep.over_at = steady_clock::now() + longest + kLate;
  return sleep;
}

std::optional<RedisQueue::Sleep> RedisQueue::FindSleep(const std::string& queues) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(asleep_.begin(), asleep_.end(),
                                  [&](const Sleep& sleep) { return sleep.queues == queues; });
  if (found == asleep_.end()) return std::nullopt;
  Sleep sleep = std::move(*found);
  asleep_.erase(found);
  return sleep;
}

Result<std::vector<Lease>> RedisQueue::TakeLeases(const LeaseRequest& request) {
  const SteadyTime deadline = steady_clock::now() + request.wait_max;
  std::optional<Sleep> sleep;
  if (request.wait_max.count() > 0) sleep = FindSleep(Join(request.queues, ","));
  while (true) {
    if (!sleep) {
      Outlook outlook;
      std::vector<Lease> leases = TRY(TakeNow(request, outlook));
      if (!leases.empty() || request.stop.stop_requested() || steady_clock::now() >= deadline) {
        return leases;
      }
      sleep = TRY(FallAsleep(request.queues, outlook));
    }
    const auto woken = TRY(sleep->waiting->Get(std::min(deadline, sleep->over_at), request.stop));
    if (woken) {
      if (woken->is_error()) return ErrorOf(*woken);
      sleep.reset();
    } else if (steady_clock::now() >= sleep->over_at) {
      return Error{Code::kUnavailable, "redis " + redis_->where() + ": fell silent"};
    } else {
      const std::lock_guard lock(mutex_);
      asleep_.push_back(*std::move(sleep));
      return std::vector<Lease>();
    }
  }
}

Result<Task> RedisQueue::Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) {
  const SteadyTime deadline = steady_clock::now() + wait_max;
  while (true) {
    Seen seen = TRY(LookAt(id, wait_max.count() > 0));
    Task& task = seen.stored.task;
    const bool ended = task.status != Status::kQueued && task.status != Status::kStarted;
    const SteadyTime now = steady_clock::now();
    if (ended || now >= deadline || stop.stop_requested()) return std::move(task);
    const Milliseconds longest =
        std::max(Milliseconds(1),
                 std::min(options_.look_every, std::chrono::ceil<Milliseconds>(deadline - now)));
    const std::string key = Key("task:" + id + ":ended");
    RedisCommand command("BLMOVE");
    command.Add(key).Add(key).Add("LEFT").Add("RIGHT");
    command.Add(std::to_string(static_cast<double>(longest.count()) / 1000));
    const auto waiting = TRY(redis_->Wait(command));
    const auto told = TRY(waiting->Get(now + longest + kLate, stop));
    if (told && told->is_error()) return ErrorOf(*told);
    if (told && told->type == RedisReply::Type::kText) {
      return std::move(TRY(ReadEnd(id, told->text)).stored.task);
    }
  }
}

}  // namespace msearch::queue
