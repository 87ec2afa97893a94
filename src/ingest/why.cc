#include "ingest/why.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "ingest/capability.h"

namespace msearch::ingest {
namespace {

using queue::Status;
using queue::Task;
using queue::WorkerInfo;

std::string Seconds(int64_t milliseconds) {
  return fmt::format("{:.1f} s", static_cast<double>(milliseconds) / 1000);
}

bool Serves(const WorkerInfo& worker, const std::string& queue) {
  if (!worker.detail.is_object() || !worker.detail.contains("queues")) return false;
  const Json& queues = worker.detail["queues"];
  return queues.is_array() && std::find(queues.begin(), queues.end(), queue) != queues.end();
}

// The model that the task names, in its own payload or in the job that it carries.
std::optional<std::pair<std::string, std::string>> ModelOf(const Task& task) {
  const Json* payload = &task.payload;
  if (!payload->is_object()) return std::nullopt;
  if (payload->contains("job")) payload = &(*payload)["job"];
  if (!payload->is_object() || !payload->contains("model")) return std::nullopt;
  const Json& model = (*payload)["model"];
  return std::pair(GetString(model, "name").value_or(""), GetString(model, "key").value_or(""));
}

// A worker that announces models has those only.
bool HasModel(const WorkerInfo& worker, const std::string& key) {
  if (!worker.detail.contains("models")) return true;
  for (const Json& model : worker.detail["models"]) {
    if (GetString(model, "key") == key) return true;
  }
  return false;
}

// "; HOST: PROBLEM" for each machine that says why it hasn't what it is asked for.
template <typename Concerns>
std::string Told(const std::vector<WorkerInfo>& workers, const Concerns& concerns) {
  std::set<std::string> told;
  for (const WorkerInfo& worker : workers) {
    for (const Lack& lack : LacksOf(worker)) {
      if (concerns(lack)) told.insert("; " + worker.host + ": " + lack.problem);
    }
  }
  return Join(std::vector<std::string>(told.begin(), told.end()), "");
}

std::string LackOfModel(const std::vector<WorkerInfo>& workers, const std::string& name) {
  return Told(workers, [&](const Lack& lack) { return lack.name == name; });
}

std::string LackOfReader(const std::vector<WorkerInfo>& workers, const Task& task) {
  const std::string reader = GetString(task.payload, "reader").value_or("");
  return Told(workers, [&](const Lack& lack) { return lack.reader == reader; });
}

std::string WhyStarted(const std::vector<WorkerInfo>& workers, const Task& task, UnixMs now) {
  const auto holder = std::find_if(workers.begin(), workers.end(), [&](const WorkerInfo& worker) {
    return worker.id == task.worker;
  });
  const std::string seen =
      holder == workers.end()
          ? "no sign of life of it is left"
          : "last sign of life " + Seconds(std::max<int64_t>(0, now - holder->seen_at)) + " ago";
  if (!task.lease_until) return "it is running on " + task.worker;
  if (*task.lease_until >= now) {
    return fmt::format("it is running: leased by {} until {}, {}", task.worker,
                       FormatRfc3339(*task.lease_until), seen);
  }
  return fmt::format("the lease of {} ran out at {} ({}); the next look at the queue returns it",
                     task.worker, FormatRfc3339(*task.lease_until), seen);
}

std::string Times(int count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string WhyEnded(const Task& task) {
  const std::string again = "; msearch task retry " + task.id + " queues it again";
  const std::string last = task.error ? ": " + task.error->message : "";
  if (task.status == Status::kCancelled) return "it was cancelled" + again;
  if (task.reason == "quarantined") {
    return fmt::format("it is quarantined, because it killed its child process {}{}{}",
                       task.crashes == 1 ? "once" : Times(task.crashes, "time"), last, again);
  }
  if (task.reason == "lost") {
    return fmt::format("it failed for good, because its workers vanished {}{}",
                       Times(task.losses, "time"), again);
  }
  if (task.reason == "dependency") {
    return "it failed, because a task that it follows did" + last + "; retry that one first";
  }
  return fmt::format("it failed for good after {}{}{}", Times(task.attempts, "attempt"), last,
                     again);
}

}  // namespace

Result<std::string> WhyNotDone(queue::TaskQueue& queue, const Task& task, const Clock& clock) {
  if (task.status == Status::kFinished) return std::string();
  if (task.status != Status::kQueued && task.status != Status::kStarted) return WhyEnded(task);
  const UnixMs now = clock.NowMs();
  const auto workers = TRY(queue.Workers());
  if (task.status == Status::kStarted) return WhyStarted(workers, task, now);

  for (const queue::TaskId& id : task.after) {
    const auto other = queue.Get(id);
    if (!other.ok() || other->status == Status::kFinished) continue;
    return fmt::format("it waits for task {} ({}, {})", id, other->kind,
                       queue::StatusName(other->status));
  }
  const auto all_stats = TRY(queue.Stats());
  for (const queue::QueueStats& stats : all_stats) {
    if (stats.name == task.queue && stats.paused) {
      return fmt::format("queue {} is paused", task.queue);
    }
  }
  if (task.available_at > now) {
    std::string why = fmt::format("it is delayed until {}", FormatRfc3339(task.available_at));
    if (task.error) {
      why += fmt::format(", after error {} of {}: {}", task.errors, task.retry.errors_max,
                         task.error->message);
    }
    if (task.kind == "read") why += LackOfReader(workers, task);
    return why;
  }
  std::vector<const WorkerInfo*> serving;
  for (const WorkerInfo& worker : workers) {
    if (Serves(worker, task.queue)) serving.push_back(&worker);
  }
  if (serving.empty()) return LackOf(task.queue, workers);
  if (const auto model = ModelOf(task); model && task.kind != "prepare") {
    const bool any = std::any_of(serving.begin(), serving.end(), [&](const WorkerInfo* worker) {
      return HasModel(*worker, model->second);
    });
    const std::string told = any ? "" : LackOfModel(workers, model->first);
    if (!told.empty()) return fmt::format("no worker has model {}{}", model->first, told);
    if (!any) {
      return fmt::format("no worker has model {}: msearch model pull {} on a machine that embeds",
                         model->first, model->first);
    }
  }
  const auto unable = std::count_if(serving.begin(), serving.end(), [](const WorkerInfo* worker) {
    return worker->state == "unable";
  });
  if (unable == static_cast<ptrdiff_t>(serving.size())) {
    std::string told;
    for (const WorkerInfo* worker : serving) {
      for (const Lack& lack : LacksOf(*worker)) told += "; " + worker->host + ": " + lack.problem;
    }
    return fmt::format(
        "none of the {} workers of queue {} can take anything now: they lack a "
        "model or room, or can't reach the controller{}",
        unable, task.queue, told);
  }
  // Ids grow with time, so those before it are the older ones, and those of higher priority.
  queue::TaskFilter ahead;
  ahead.queue = task.queue;
  ahead.status = Status::kQueued;
  ahead.before = task.id;
  ahead.limit = 1000;
  const auto older = TRY(queue.List(ahead));
  const auto count = std::count_if(older.begin(), older.end(), [&](const Task& other) {
    return other.priority <= task.priority && other.available_at <= now;
  });
  const std::string more = older.size() == ahead.limit ? " or more" : "";
  if (count == 0) return fmt::format("it is the next of queue {}", task.queue);
  const std::string tasks =
      count == 1 && more.empty() ? "1 task is" : fmt::format("{}{} tasks are", count, more);
  return fmt::format("{} ahead of it in queue {}; workers that serve it: {}", tasks, task.queue,
                     serving.size());
}

}  // namespace msearch::ingest
