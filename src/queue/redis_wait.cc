// Leasing, and waiting without asking again and again.
//
// Who finds nothing to lease sleeps at the end of a channel of his own, his hand (redis/take.lua),
// until he is given tasks there or told to look. A parked hand stays between two calls, so that a
// worker that asks every second costs the server nothing; that of a worker that doesn't stay is
// only told to look, so that what it doesn't ask for goes to others.
//
// Who waits for the end of a task does so at the end of another channel, an ear, which the task
// knows.
#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "queue/change.h"
#include "queue/redis_client.h"

namespace msearch::queue {
namespace {

using std::chrono::steady_clock;
using storage::RedisCommand;
using storage::RedisReply;

// A hand isn't trusted for longer than this beyond the time at which its owner wants to look again.
constexpr Milliseconds kTrust{2000};
// For a message that the server has sent already.
constexpr Milliseconds kOnItsWay{1000};
// Whoever waits for a task that he gave, or for the next after he completed one, keeps the
// processor for that long, unless others want it: sleeping and being woken takes longer than a
// short task.
constexpr std::chrono::microseconds kShortTask{250};
// Between uses; each is a connection.
constexpr size_t kEarsKept = 4;

const Error kSenseless{Code::kCorrupt, "redis: an answer that makes no sense"};

// What `serve` packed, as `take` would have answered it.
Result<RedisReply> ReadMessage(std::string_view message) {
  RedisReply reply;
  const auto text = [](std::string_view bytes) {
    RedisReply item;
    item.type = RedisReply::Type::kText;
    item.text = bytes;
    return item;
  };
  const std::vector<std::string_view> fields = TRY(CutNetstrings(message));
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i < 4 || i % 2 == 0) {
      reply.items.push_back(text(fields[i]));
      continue;
    }
    if (fields[i].empty()) return kSenseless;
    if (fields[i][0] == 'd') {
      reply.items.push_back(text(fields[i].substr(1)));
      continue;
    }
    RedisReply& hash = reply.items.emplace_back();
    hash.type = RedisReply::Type::kList;
    for (const std::string_view field : TRY(CutNetstrings(fields[i].substr(1)))) {
      hash.items.push_back(text(field));
    }
  }
  return reply;
}

}  // namespace

RedisQueue::RedisQueue(const RedisQueueOptions& options, std::shared_ptr<storage::Redis> redis)
    : options_(options), redis_(std::move(redis)) {}

RedisQueue::~RedisQueue() {
  // So that whoever comes next needn't wait.
  if (!options_.library.id.empty()) (void)Own(Milliseconds(0), false);
}

Result<std::vector<Lease>> RedisQueue::ReadLeases(const Reply& reply, const std::string& worker,
                                                  Milliseconds duration) {
  std::vector<Lease> leases;
  const auto& items = reply.items;
  if (items.size() < 4) return kSenseless;
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
    lease.task.worker = worker;
    lease.task.started_at = now;
    lease.task.lease_until = now + duration.count();
    lease.token = {epoch, counter};
    lease.worker = worker;
    leases.push_back(std::move(lease));
  }
  return leases;
}

Result<std::vector<Lease>> RedisQueue::TakeNow(const LeaseRequest& request, Hand* hand) {
  RedisCommand command = Function("take");
  command.Add(static_cast<int64_t>(request.count_max)).Add(request.duration.count());
  command.Add(request.worker);
  if (hand == nullptr) {
    command.Add("").Add("").Add(0).Add(0);
  } else {
    command.Add(hand->channel).Add(hand->parked ? "1" : "");
    command.Add((options_.look_every + kTrust).count());
    command.Add(hand->stays ? static_cast<int64_t>(request.count_max) : 0);
    hand->duration = request.duration;
    hand->size = static_cast<int64_t>(request.count_max);
    hand->order = request.queues;
  }
  for (const std::string& queue : request.queues) command.Add(queue);
  const RedisReply reply = TRY(Run(command));
  if (reply.items.empty()) return kSenseless;
  const std::string& queue = reply.items[0].text;
  if (queue == "?") {
    if (auto leases = TRY(Listen(*hand, steady_clock::now() + kOnItsWay, {}))) return *leases;
    hand->parked = false;  // it was lost, or the server's memory of the hand
    return std::vector<Lease>();
  }
  if (hand != nullptr) hand->parked = queue.empty();
  if (!queue.empty()) return ReadLeases(reply, request.worker, request.duration);
  if (hand != nullptr && reply.items.size() == 2) SetAlarm(*hand, reply.items[1]);
  return std::vector<Lease>();
}

// `due`: milliseconds until something falls due, or nothing.
void RedisQueue::SetAlarm(Hand& hand, const Reply& due) const {
  Milliseconds longest = options_.look_every;
  if (!due.text.empty()) longest = std::min(longest, Milliseconds(due.AsInteger()));
  hand.look_at = steady_clock::now() + std::max(longest, Milliseconds(1));
}

Result<std::optional<std::vector<Lease>>> RedisQueue::Listen(Hand& hand, SteadyTime deadline,
                                                             const std::stop_token& stop) {
  const auto message = TRY(hand.messages->Next(deadline, stop));
  if (!message) return std::optional<std::vector<Lease>>();
  hand.parked = false;
  if (message->empty()) return std::optional(std::vector<Lease>());  // to look again
  return std::optional(TRY(ReadLeases(TRY(ReadMessage(*message)), hand.worker, hand.duration)));
}

Result<std::unique_ptr<RedisQueue::Hand>> RedisQueue::FindHand(const LeaseRequest& request) {
  std::vector<std::string> queues = request.queues;
  std::sort(queues.begin(), queues.end());
  auto hand = std::make_unique<Hand>();
  hand->queues = Join(queues, ",");
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(hands_.begin(), hands_.end(), [&](const auto& other) {
      return other->queues == hand->queues && other->worker == request.worker &&
             other->stays == request.stays;
    });
    if (found != hands_.end()) {
      hand = std::move(*found);
      hands_.erase(found);
      return hand;
    }
  }
  hand->worker = request.worker;
  hand->stays = request.stays;
  hand->channel = Key("queue:hand:" + HexEncode(RandomBytes(12)));
  hand->messages = TRY(redis_->Subscribe(hand->channel));
  return hand;
}

// After an error the hand isn't kept: its connection closes, and nobody gives it anything.
Result<std::vector<Lease>> RedisQueue::TakeLeases(const LeaseRequest& request) {
  if (request.wait_max.count() <= 0) return TakeNow(request, nullptr);
  const SteadyTime deadline = steady_clock::now() + request.wait_max;
  const auto over = [&] {
    return request.stop.stop_requested() || steady_clock::now() >= deadline;
  };
  std::unique_ptr<Hand> hand = TRY(FindHand(request));
  std::vector<Lease> leases;
  do {
    if (hand->parked) {
      if (std::exchange(hand->busy, false)) hand->messages->WatchFor(kShortTask);
      auto given = TRY(Listen(*hand, std::min(deadline, hand->look_at), request.stop));
      if (given) leases = *std::move(given);
      if (!leases.empty() || (hand->parked && over())) break;
    }
    leases = TRY(TakeNow(request, hand.get()));
  } while (leases.empty() && !over());
  hand->under_work = leases.size();
  hand->busy = !leases.empty();
  Keep(std::move(hand));
  return leases;
}

void RedisQueue::Keep(std::unique_ptr<Hand> hand) {
  const std::lock_guard lock(mutex_);
  hands_.push_back(std::move(hand));
}

void RedisQueue::Keep(std::unique_ptr<Ear> ear) {
  const std::lock_guard lock(mutex_);
  if (ears_.size() < kEarsKept) ears_.push_back(std::move(ear));
}

// Nobody else looks for the hand meanwhile: its worker is the one that calls.
std::unique_ptr<RedisQueue::Hand> RedisQueue::FindIdle(std::span<const Completion> completions) {
  const std::string& worker = completions.front().lease.worker;
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(hands_.begin(), hands_.end(), [&](const auto& hand) {
    return hand->stays && hand->worker == worker && hand->under_work >= completions.size();
  });
  if (found == hands_.end()) return nullptr;
  (*found)->under_work -= completions.size();
  if ((*found)->under_work > 0 || (*found)->parked) return nullptr;
  std::unique_ptr<Hand> hand = std::move(*found);
  hands_.erase(found);
  return hand;
}

void RedisQueue::AddHand(Command& command, const Hand* hand) const {
  if (hand == nullptr) {
    command.Add(0);
    return;
  }
  command.Add(static_cast<int64_t>(5 + hand->order.size())).Add(hand->channel);
  command.Add((options_.look_every + kTrust).count()).Add(hand->size).Add(hand->duration.count());
  command.Add(hand->worker);
  for (const std::string& queue : hand->order) command.Add(queue);
}

Result<> RedisQueue::StepBack(const std::string& worker) {
  std::vector<std::unique_ptr<Hand>> hands;
  {
    const std::lock_guard lock(mutex_);
    const auto theirs = std::stable_partition(
        hands_.begin(), hands_.end(), [&](const auto& hand) { return hand->worker != worker; });
    std::move(theirs, hands_.end(), std::back_inserter(hands));
    hands_.erase(theirs, hands_.end());
  }
  for (const auto& hand : hands) {
    if (!hand->parked) continue;
    RedisCommand command = Function("unpark", false);
    command.Add(hand->channel);
    for (const std::string_view queue : Split(hand->queues, ',')) command.Add(queue);
    const RedisReply reply = TRY(Run(command));
    if (reply.integer != 0) continue;
    const auto given = TRY(Listen(*hand, steady_clock::now() + kOnItsWay, {}));
    if (!given) continue;
    for (const Lease& lease : *given) TRY(Release(lease, Milliseconds(0)));
  }
  return Ok{};
}

Result<std::unique_ptr<RedisQueue::Ear>> RedisQueue::FindEar() {
  {
    const std::lock_guard lock(mutex_);
    if (!ears_.empty()) {
      std::unique_ptr<Ear> ear = std::move(ears_.back());
      ears_.pop_back();
      return ear;
    }
  }
  auto ear = std::make_unique<Ear>();
  ear->channel = Key("queue:ear:" + HexEncode(RandomBytes(12)));
  ear->messages = TRY(redis_->Subscribe(ear->channel));
  return ear;
}

std::optional<std::string> RedisQueue::Hear(std::unique_ptr<Ear>& ear, const TaskId& id,
                                            SteadyTime deadline, const std::stop_token& stop) {
  ear->messages->WatchFor(kShortTask);
  while (true) {
    auto message = ear->messages->Next(deadline, stop);
    if (!message.ok()) ear.reset();
    if (!message.ok() || !*message) return std::nullopt;
    // An ear that was used before may hear of what its user no longer waited for.
    const auto fields = CutNetstrings(**message);
    if (fields.ok() && !fields->empty() && fields->front() == id) return *std::move(message);
  }
}

Result<Task> RedisQueue::EnqueueAndAwait(const NewTask& task, Milliseconds wait_max,
                                         std::stop_token stop) {
  const Draft draft = TRY(CheckNewTask(task));
  if (!IsPlain(task)) return TaskQueue::EnqueueAndAwait(task, wait_max, stop);
  const SteadyTime begin = steady_clock::now();
  const std::string definition = PackDefinition(task, draft.payload);
  std::unique_ptr<Ear> ear = TRY(FindEar());
  RedisCommand command = Function("enqueue");
  command.Add("w").Add(task.queue).Add(static_cast<int>(task.priority)).Add(definition);
  command.Add(ear->channel);
  const RedisReply reply = TRY(Run(command, {kShortTask, true}));
  if (reply.items.size() != 1) return kSenseless;
  const TaskId& id = reply.items[0].text;
  if (const auto told = Hear(ear, id, begin + std::min(options_.look_every, wait_max), stop)) {
    Keep(std::move(ear));
    return std::move(TRY(ReadEnd(id, RedisReply(), definition, *told)).stored.task);
  }
  const auto gone = std::chrono::duration_cast<Milliseconds>(steady_clock::now() - begin);
  return Await(id, std::max(wait_max - gone, Milliseconds(0)), stop);
}

Result<Task> RedisQueue::Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) {
  const SteadyTime deadline = steady_clock::now() + wait_max;
  if (!CreatedAt(id)) return Error{Code::kNotFound, "task " + id + ": not known"};
  std::unique_ptr<Ear> ear;
  while (true) {
    const SteadyTime now = steady_clock::now();
    if (now >= deadline || stop.stop_requested()) return std::move(TRY(LookAt(id)).stored.task);
    if (ear == nullptr) ear = TRY(FindEar());
    RedisCommand command = Function("look", false);
    command.Add(ear->channel).Add(id);
    RedisReply looked = TRY(Run(command));
    std::vector<Seen> seen = TRY(ReadLook(looked));
    if (seen.empty()) return Error{Code::kNotFound, "task " + id + ": not known"};
    const Status status = seen[0].stored.task.status;
    if (status != Status::kQueued && status != Status::kStarted) {
      Keep(std::move(ear));
      return std::move(seen[0].stored.task);
    }
    const auto told = Hear(ear, id, std::min(deadline, now + options_.look_every), stop);
    if (!told) continue;
    Keep(std::move(ear));
    RedisReply& item = looked.items[0];
    return std::move(
        TRY(ReadEnd(id, std::move(item.items[1]), item.items[2].text, *told)).stored.task);
  }
}

}  // namespace msearch::queue
