#include "queue/spool.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "queue/task_id.h"

namespace msearch::queue {
namespace {

constexpr uint64_t kFileBytesMax = uint64_t{64} << 20;

Json ToJson(const NewTask& task) {
  return {{"queue", task.queue},
          {"kind", task.kind},
          {"payload", task.payload},
          {"priority", PriorityName(task.priority)},
          {"unique_key", task.unique_key},
          {"delay_ms", task.delay.count()},
          {"timeout_ms", task.timeout.count()},
          {"retry",
           {task.retry.errors_max, task.retry.crashes_max, task.retry.losses_max,
            task.retry.backoff_first.count(), task.retry.backoff_max.count()}},
          {"after", task.after},
          {"parent", task.parent},
          {"dead_letter", {task.dead_letter.queue, task.dead_letter.kind}}};
}

// Of files that this code wrote; a damaged one throws.
NewTask TaskFromJson(const Json& json) {
  NewTask task;
  task.queue = json.at("queue").get<std::string>();
  task.kind = json.at("kind").get<std::string>();
  task.payload = json.at("payload");
  task.priority =
      PriorityFromName(json.at("priority").get<std::string>()).value_or(Priority::kNormal);
  task.unique_key = json.at("unique_key").get<std::string>();
  task.delay = Milliseconds(json.at("delay_ms").get<int64_t>());
  task.timeout = Milliseconds(json.at("timeout_ms").get<int64_t>());
  const Json& retry = json.at("retry");
  task.retry.errors_max = retry.at(0).get<int>();
  task.retry.crashes_max = retry.at(1).get<int>();
  task.retry.losses_max = retry.at(2).get<int>();
  task.retry.backoff_first = Milliseconds(retry.at(3).get<int64_t>());
  task.retry.backoff_max = Milliseconds(retry.at(4).get<int64_t>());
  task.after = json.at("after").get<std::vector<TaskId>>();
  task.parent = json.at("parent").get<std::string>();
  task.dead_letter.queue = json.at("dead_letter").at(0).get<std::string>();
  task.dead_letter.kind = json.at("dead_letter").at(1).get<std::string>();
  return task;
}

Json ToJson(const Completion& completion) {
  const Lease& lease = completion.lease;
  Json json{{"task", lease.task.id},       {"queue", lease.task.queue},
            {"worker", lease.worker},      {"token", {lease.token.epoch, lease.token.counter}},
            {"result", completion.result}, {"follow_ups", Json::array()}};
  for (const NewTask& task : completion.follow_ups) json["follow_ups"].push_back(ToJson(task));
  return json;
}

Completion CompletionFromJson(const Json& json) {
  Completion completion;
  completion.lease.task.id = json.at("task").get<std::string>();
  completion.lease.task.queue = json.at("queue").get<std::string>();
  completion.lease.worker = json.at("worker").get<std::string>();
  completion.lease.token = {json.at("token").at(0).get<uint64_t>(),
                            json.at("token").at(1).get<uint64_t>()};
  completion.result = json.at("result");
  for (const Json& task : json.at("follow_ups")) {
    completion.follow_ups.push_back(TaskFromJson(task));
  }
  return completion;
}

Result<std::vector<Completion>> Load(const std::string& path) {
  const Json json = TRY(FromCbor(TRY(ReadFile(path, kFileBytesMax))));
  std::vector<Completion> completions;
  try {
    for (const Json& one : json) completions.push_back(CompletionFromJson(one));
  } catch (const Json::exception& e) {
    return Error{Code::kCorrupt, path + ": " + e.what()};
  }
  return completions;
}

}  // namespace

Spool::Spool(std::string directory) : directory_(std::move(directory)) {
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::create_directories(directory_, ignored);
}

std::string Spool::Keep(std::span<const Completion> completions) {
  if (directory_.empty()) return "";
  Json json = Json::array();
  for (const Completion& completion : completions) json.push_back(ToJson(completion));
  // Named after its first task: kept twice, it is one file.
  const std::string name = completions.front().lease.task.id + ".cbor";
  const Result<> written = WriteFileAtomically(directory_ + "/" + name, ToCbor(json), true);
  if (written.ok()) return name;
  LOG_WARNING("spool: {}", written.message());
  return "";
}

void Spool::Remove(const std::string& name) {
  std::error_code ignored;
  if (!name.empty()) std::filesystem::remove(directory_ + "/" + name, ignored);
}

int Spool::Deliver(TaskQueue& queue) {
  if (directory_.empty()) return 0;
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory_, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() == ".cbor") names.push_back(entry->path().filename());
  }
  std::sort(names.begin(), names.end());
  int delivered = 0;
  for (const std::string& name : names) {
    const auto completions = Load(directory_ + "/" + name);
    if (!completions.ok()) {
      LOG_WARNING("spool: {}; it is dropped", completions.message());
      Remove(name);
      continue;
    }
    const auto answers = queue.Complete(*completions);
    if (!answers.ok()) return delivered;
    for (const Result<>& answer : *answers) {
      if (answer.ok()) ++delivered;
      if (!answer.ok()) LOG_WARNING("spool: {}; this result is dropped", answer.message());
    }
    Remove(name);
  }
  return delivered;
}

}  // namespace msearch::queue
