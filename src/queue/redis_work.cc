// What producers, holders of leases and people do to tasks.
#include <algorithm>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "queue/change.h"
#include "queue/embedded_schema.h"
#include "queue/redis_client.h"
#include "queue/task_id.h"

namespace msearch::queue {
namespace {

using storage::RedisCommand;
using storage::RedisReply;

constexpr size_t kGroupMax = 1000;  // completions, as in redis/work.lua

Error Stale(const Lease& lease) {
  return Error{Code::kStale, "task " + lease.task.id + ": its lease is no longer the latest"};
}

// What its holder shows (redis/base.lua).
std::string ClaimText(const Lease& lease) {
  return lease.task.id + " " + std::to_string(lease.token.epoch) + " " +
         std::to_string(lease.token.counter);
}

// Seven arguments, as redis/end.lua takes them.
void AddTask(RedisCommand& command, const Draft& draft) {
  const NewTask& task = *draft.task;
  command.Add(task.queue).Add(static_cast<int>(task.priority));
  command.Add(PackDefinition(task, draft.payload));
  command.Add(std::max<int64_t>(task.delay.count(), 0));
  command.Add(task.unique_key).Add(Join(task.after, " ")).Add(task.parent);
}

}  // namespace

Result<std::vector<TaskId>> RedisQueue::Enqueue(std::span<const NewTask> tasks) {
  std::vector<TaskId> ids;
  if (tasks.empty()) return ids;
  std::vector<Draft> drafts;
  for (const NewTask& task : tasks) drafts.push_back(TRY(CheckNewTask(task)));
  RedisCommand command = Function("enqueue");
  for (size_t at = 0; at < drafts.size();) {
    const NewTask& first = *drafts[at].task;
    size_t end = at;
    while (end < drafts.size() && IsPlain(*drafts[end].task) &&
           drafts[end].task->queue == first.queue && drafts[end].task->priority == first.priority) {
      ++end;
    }
    if (end == at) {
      command.Add("");
      AddTask(command, drafts[at++]);
      continue;
    }
    command.Add(static_cast<int64_t>(end - at)).Add(first.queue);
    command.Add(static_cast<int>(first.priority));
    for (; at < end; ++at) command.Add(PackDefinition(*drafts[at].task, drafts[at].payload));
  }
  RedisReply reply = TRY(Run(command));
  for (RedisReply& item : reply.items) ids.push_back(std::move(item.text));
  if (ids.size() != tasks.size()) {
    return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  }
  return ids;
}

Result<std::vector<TaskQueue::Held>> RedisQueue::Extend(std::span<const Lease> leases,
                                                        Milliseconds duration) {
  std::vector<Held> held;
  if (leases.empty()) return held;
  RedisCommand command = Function("extend");
  command.Add(duration.count());
  for (const Lease& lease : leases) command.Add(ClaimText(lease));
  const RedisReply reply = TRY(Run(command));
  for (const RedisReply& item : reply.items) {
    held.push_back({item.text == "held", item.text == "cancelled"});
  }
  if (held.size() != leases.size()) {
    return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  }
  return held;
}

Result<std::vector<Result<>>> RedisQueue::Complete(std::span<const Completion> completions) {
  std::vector<Result<>> answers;
  if (completions.empty()) return answers;
  RedisCommand command = Function("complete");
  command.Add(options_.result_ttl.count());
  std::unique_ptr<Hand> hand = FindIdle(completions);
  AddHand(command, hand.get());
  std::vector<std::optional<Error>> faults(completions.size());
  std::vector<std::string> claims;
  for (const Completion& completion : completions) claims.push_back(ClaimText(completion.lease));
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> group;  // claims and results
  size_t grouped = 0;
  const auto end_group = [&](const std::string& queue) {
    if (grouped == 0) return;
    command.Add(static_cast<int64_t>(grouped)).Add(queue);
    for (const std::string& text : group) command.Add(text);
    group.clear();
    grouped = 0;
  };
  const std::string* queue = nullptr;
  for (size_t i = 0; i < completions.size(); ++i) {
    const Completion& completion = completions[i];
    const Task& task = completion.lease.task;
    Result<std::string> result = CheckJson(completion.result, "result of task " + task.id);
    if (!result.ok()) faults[i] = result.error();
    std::vector<Draft> follow_ups;
    for (const NewTask& follow_up : completion.follow_ups) {
      Result<Draft> draft = CheckNewTask(follow_up);
      if (draft.ok()) {
        follow_ups.push_back(*std::move(draft));
      } else {
        faults[i] = draft.error();
      }
    }
    // A lease that stands here for a second time is no longer held by then.
    const bool is_first = seen.insert(claims[i]).second;
    const bool plain =
        is_first && task.unique_key.empty() && !faults[i] && completion.follow_ups.empty();
    if (queue != nullptr && (!plain || *queue != task.queue || grouped == kGroupMax)) {
      end_group(*queue);
    }
    queue = &task.queue;
    if (plain) {
      group.push_back(claims[i]);
      group.push_back(*std::move(result));
      ++grouped;
      continue;
    }
    if (faults[i]) follow_ups.clear();
    command.Add("").Add(task.queue).Add(claims[i]).Add(result.ok() ? *result : std::string());
    command.Add(task.unique_key).Add(faults[i] ? "1" : "");
    command.Add(static_cast<int64_t>(follow_ups.size()));
    for (const Draft& draft : follow_ups) AddTask(command, draft);
  }
  end_group(*queue);
  // Who becomes idle has time.
  RedisReply reply = TRY(Run(command, {.others_first = hand != nullptr}));
  if (hand != nullptr) {
    if (reply.items.size() != 2) {
      return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
    }
    hand->parked = reply.items[1].text != "-";
    if (hand->parked) SetAlarm(*hand, reply.items[1]);
    Keep(std::move(hand));
    reply = RedisReply(std::move(reply.items[0]));
  }
  if (reply.type == RedisReply::Type::kInteger) {  // all of them took effect
    return std::vector<Result<>>(completions.size(), Result<>(Ok{}));
  }
  if (reply.items.size() != completions.size()) {
    return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  }
  for (size_t i = 0; i < completions.size(); ++i) {
    const Lease& lease = completions[i].lease;
    const std::string& answer = reply.items[i].text;
    constexpr std::string_view kMissing = "missing ";
    if (answer == "ok") {
      answers.emplace_back(Ok{});
    } else if (answer == "cancelled") {
      answers.emplace_back(Code::kStale, "task " + lease.task.id + ": was cancelled");
    } else if (answer == "faulty" && faults[i]) {
      answers.emplace_back(*faults[i]);
    } else if (answer.starts_with(kMissing)) {
      answers.emplace_back(Code::kNotFound,
                           "task " + answer.substr(kMissing.size()) + ": not known");
    } else {
      answers.emplace_back(Stale(lease));
    }
  }
  return answers;
}

Result<> RedisQueue::RunHeld(const Command& command, const Lease& lease) {
  const RedisReply reply = TRY(Run(command));
  if (reply.integer == 0) return Stale(lease);
  return Ok{};
}

Result<> RedisQueue::Fail(const Failure& failure) {
  RedisCommand command = Function("fail");
  command.Add(ClaimText(failure.lease));
  command.Add(CodeName(failure.error.code)).Add(SanitizeUtf8(failure.error.message));
  command.Add(IsTransient(failure.error.code) ? "1" : "");
  command.Add(std::to_string(RandomFraction()));
  return RunHeld(command, failure.lease);
}

Result<> RedisQueue::Release(const Lease& lease, Milliseconds delay) {
  RedisCommand command = Function("release");
  command.Add(ClaimText(lease)).Add(std::max<int64_t>(delay.count(), 0));
  return RunHeld(command, lease);
}

Result<> RedisQueue::SetProgress(const Lease& lease, const Progress& progress) {
  const Json json = {{"fraction", std::clamp(progress.fraction, 0.0, 1.0)},
                     {"stage", progress.stage},
                     {"message", progress.message}};
  RedisCommand command = Function("progress");
  command.Add(ClaimText(lease)).Add(DumpJson(json));
  command.Add(options_.result_ttl.count());
  return RunHeld(command, lease);
}

Result<> RedisQueue::Cancel(const TaskId& id) {
  TRY(Run(Function("cancel").Add(id)));
  return Ok{};
}

Result<> RedisQueue::Retry(const TaskId& id) {
  TRY(Run(Function("retry").Add(id)));
  return Ok{};
}

Result<> RedisQueue::Pause(const std::string& queue) {
  TRY(Run(Function("pause").Add(queue).Add("1")));
  return Ok{};
}

Result<> RedisQueue::Resume(const std::string& queue) {
  TRY(Run(Function("pause").Add(queue).Add("0")));
  return Ok{};
}

// --- House-keeping

Result<> RedisQueue::Repeat(const Command& command, int64_t step) {
  // Bounds one call; the rest waits for the next.
  const SteadyTime deadline = std::chrono::steady_clock::now() + Milliseconds(500);
  do {
    if (TRY(Run(command)).integer < step) break;
  } while (std::chrono::steady_clock::now() < deadline);
  return Ok{};
}

Result<> RedisQueue::Maintain(const Retention& retention) {
  // Steps are short, because nobody else gets an answer meanwhile.
  constexpr int64_t kStep = 200;
  const UnixMs now = TRY(Now());
  TRY(Repeat(Function("overdue").Add(kStep), kStep));
  for (const Status status : {Status::kFinished, Status::kFailed, Status::kCancelled}) {
    const Milliseconds kept = status == Status::kFinished ? retention.finished : retention.failed;
    RedisCommand command = Function("remove");
    command.Add(StatusName(status)).Add(now - kept.count()).Add(kStep);
    TRY(Repeat(command, kStep));
  }
  TRY(Repeat(Function("excess").Add(retention.rows_max).Add(kStep), kStep));
  return Ok{};
}

Result<> RedisQueue::RaiseEpoch(uint64_t epoch) {
  TRY(Run(Function("epoch").Add(static_cast<int64_t>(epoch))));
  return Ok{};
}

Result<std::string> RedisQueue::Own(Milliseconds duration, bool takes_over) {
  const QueueLibrary& library = options_.library;
  RedisCommand command = Function("own");
  command.Add(library.id).Add(library.place).Add(duration.count());
  command.Add(HexEncode(RandomBytes(16))).Add(takes_over ? "1" : "");
  Result<RedisReply> reply = Run(command);
  if (reply.ok()) return reply->text;
  if (reply.code() != Code::kConflict) return reply.error();
  return Error{Code::kConflict,
               fmt::format("redis {}: its queue is in use by another library ({}): give this one a "
                           "redis.prefix or redis.db of its own",
                           redis_->where(), reply.message())};
}

Result<std::string> RedisQueue::StateId() {
  if (!options_.library.id.empty()) {
    const std::string state = TRY(Own(options_.library_ttl, false));
    if (!state.empty()) return state;
    LOG_WARNING("redis {}: its queue was another library's: what that left is removed",
                redis_->where());
    constexpr int64_t kStep = 500;
    while (TRY(Run(Function("clear").Add(kStep))).integer == kStep) {
    }
    return Own(options_.library_ttl, true);
  }
  // Made by whoever asks first; gone with everything else.
  const std::string fresh = HexEncode(RandomBytes(16));
  const RedisReply reply =
      TRY(redis_->Ask(RedisCommand("SET").Add(Key("queue:state")).Add(fresh).Add("NX").Add("GET")));
  return reply.type == RedisReply::Type::kNil ? fresh : reply.text;
}

}  // namespace msearch::queue
