#include "support/queue_model.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

namespace msearch::queue {
namespace {

bool IsLive(const Task& task) {
  return task.status == Status::kQueued || task.status == Status::kStarted;
}

bool IsReady(const Task& task) {
  return task.status == Status::kQueued && (task.reason.empty() || task.reason == "paused");
}

template <typename T>
void Differ(std::ostream& out, const char* field, const T& expected, const T& actual) {
  if (expected == actual) return;
  out << " " << field;
  if constexpr (requires { out << expected; }) out << " " << actual << " not " << expected;
}

}  // namespace

std::optional<TaskId> QueueModel::Holder(const std::string& unique_key) const {
  if (unique_key.empty()) return std::nullopt;
  for (const auto& [id, task] : tasks_) {
    if (task.shown.unique_key == unique_key && IsLive(task.shown)) return id;
  }
  return std::nullopt;
}

std::optional<Code> QueueModel::RefusesNew(const NewTask& task) const {
  for (const TaskId& id : task.after) {
    if (!tasks_.contains(id)) return Code::kNotFound;
  }
  return std::nullopt;
}

void QueueModel::Add(const NewTask& added, const TaskId& id) {
  ModelTask& task = tasks_[id];
  lanes_[added.queue];
  Task& shown = task.shown;
  shown.id = id;
  shown.queue = added.queue;
  shown.kind = added.kind;
  shown.payload = added.payload;
  shown.priority = added.priority;
  shown.unique_key = added.unique_key;
  shown.retry = added.retry;
  shown.timeout = added.timeout;
  shown.created_at = now_;
  shown.available_at = now_ + added.delay.count();
  shown.after = added.after;
  shown.parent = added.parent;
  task.dead_letter = added.dead_letter;
  task.history = {"enqueued"};
  bool waits = false;
  for (const TaskId& before : added.after) {
    const Task& followed = tasks_.at(before).shown;
    if (IsLive(followed)) waits = true;
    if (followed.status == Status::kFailed || followed.status == Status::kCancelled) {
      shown.error = Error{followed.status == Status::kFailed ? Code::kConflict : Code::kCancelled};
    }
  }
  if (shown.error) {
    task.history.push_back("error");
    End(task, Status::kFailed, "dependency");
  } else if (waits) {
    shown.reason = "waiting";
  } else {
    MakeReady(task);
  }
  if (waits || added.delay.count() > 0) task.fresh = false;
}

void QueueModel::MakeReady(ModelTask& task) {
  task.shown.status = Status::kQueued;
  task.shown.reason = lanes_[task.shown.queue].paused ? "paused" : "";
  if (task.shown.available_at > now_) task.shown.reason = "delayed";
}

std::vector<const ModelTask*> QueueModel::Ready(const std::string& queue) const {
  std::vector<const ModelTask*> ready;
  for (const auto& [id, task] : tasks_) {
    if (task.shown.queue == queue && IsReady(task.shown)) ready.push_back(&task);
  }
  return ready;
}

QueueModel::Fault QueueModel::Take(const LeaseRequest& request, const std::vector<Lease>& leases) {
  for (const std::string& queue : request.queues) {
    if (lanes_[queue].paused) continue;
    const size_t ready = Ready(queue).size();
    if (ready == 0) continue;
    if (leases.size() != std::min(ready, request.count_max)) return "took too few or too many";
    for (const Lease& lease : leases) {
      if (lease.task.queue != queue) return "took of the wrong queue";
      const Fault fault = TakeOne(request, lease);
      if (!fault.empty()) return fault;
    }
    return "";
  }
  return leases.empty() ? "" : "took what is not there";
}

QueueModel::Fault QueueModel::TakeOne(const LeaseRequest& request, const Lease& lease) {
  const auto found = tasks_.find(lease.task.id);
  if (found == tasks_.end() || !IsReady(found->second.shown)) return "took a task not ready";
  ModelTask& task = found->second;
  if (lease.token <= last_token_) return "token does not grow";
  last_token_ = lease.token;
  const Fault order = CheckOrder(task.shown, task.fresh, lanes_[task.shown.queue]);
  if (!order.empty()) return order;
  task.token = lease.token;
  task.fresh = false;
  task.shown.status = Status::kStarted;
  task.shown.reason = "";
  task.shown.worker = request.worker;
  task.shown.started_at = now_;
  task.shown.lease_until = now_ + request.duration.count();
  task.shown.progress = {};
  task.history.push_back("started");
  return CompareTask(task, lease.task);
}

QueueModel::Fault QueueModel::CheckOrder(const Task& taken, bool fresh, Lane& lane) const {
  const auto own = static_cast<size_t>(taken.priority);
  std::array<bool, 3> there{};
  for (const ModelTask* other : Ready(taken.queue)) {
    there[static_cast<size_t>(other->shown.priority)] = true;
    if (fresh && other->fresh && other->shown.priority == taken.priority &&
        other->shown.id < taken.id) {
      return "an older task of the same priority was passed over";
    }
  }
  const bool jumped = (own > 0 && there[0]) || (own > 1 && there[1]);
  for (int& since : lane.since_jump) ++since;
  if (jumped) {
    if (lane.since_jump[own] < 10) return "a less urgent task jumped ahead too often";
    lane.since_jump[own] = 0;
  }
  for (size_t i = 0; i < 3; ++i) {
    int& passed = lane.passed_over[i];
    passed = there[0] && there[1] && there[2] && i != own ? passed + 1 : 0;
    if (i > 0 && passed >= 10) return "a priority starves";
  }
  return "";
}

bool QueueModel::IsHeld(const Lease& lease) const {
  const auto found = tasks_.find(lease.task.id);
  return found != tasks_.end() && found->second.shown.status == Status::kStarted &&
         found->second.token == lease.token && *found->second.shown.lease_until > now_;
}

TaskQueue::Held QueueModel::Extend(const Lease& lease, Milliseconds duration) {
  if (!IsHeld(lease)) return {};
  ModelTask& task = tasks_.at(lease.task.id);
  if (task.shown.cancel_requested) {
    EndCancelled(task);
    return {false, true};
  }
  task.shown.lease_until = std::max(*task.shown.lease_until, now_ + duration.count());
  return {true, false};
}

bool QueueModel::Complete(const Lease& lease, const Json& result) {
  ModelTask& task = tasks_.at(lease.task.id);
  if (task.shown.cancel_requested) {
    EndCancelled(task);
    return false;
  }
  ++task.shown.attempts;
  task.shown.result = result;
  task.history.push_back("finished");
  End(task, Status::kFinished);
  return true;
}

QueueModel::Fault QueueModel::Fail(const Lease& lease, const Error& error, UnixMs available_at) {
  ModelTask& task = tasks_.at(lease.task.id);
  Task& shown = task.shown;
  if (shown.cancel_requested) {
    EndCancelled(task);
    return "";
  }
  ++shown.attempts;
  shown.error = error;
  const bool crashed = error.code == Code::kCrashed;
  ++(crashed ? shown.crashes : shown.errors);
  task.history.push_back(crashed ? "crash" : "error");
  if (crashed && shown.crashes >= shown.retry.crashes_max) {
    task.history.push_back("quarantined");
    End(task, Status::kFailed, "quarantined");
    return "";
  }
  if (!crashed && (!IsTransient(error.code) || shown.errors >= shown.retry.errors_max)) {
    End(task, Status::kFailed);
    return "";
  }
  const int failures = shown.crashes + shown.errors;
  PutBack(task, available_at);
  if (available_at < now_ + Backoff(shown.retry, failures, 0).count() ||
      available_at > now_ + Backoff(shown.retry, failures, 1).count()) {
    return "back-off out of its bounds";
  }
  return "";
}

void QueueModel::PutBack(ModelTask& task, UnixMs available_at) {
  task.shown.started_at.reset();
  task.shown.lease_until.reset();
  task.shown.progress = {};
  task.shown.available_at = available_at;
  MakeReady(task);
}

void QueueModel::Release(const Lease& lease, Milliseconds delay) {
  ModelTask& task = tasks_.at(lease.task.id);
  if (task.shown.cancel_requested) {
    EndCancelled(task);
    return;
  }
  task.history.push_back("released");
  PutBack(task, now_ + delay.count());
}

void QueueModel::SetProgress(const Lease& lease, const Progress& progress) {
  tasks_.at(lease.task.id).shown.progress = progress;
}

void QueueModel::Lose(ModelTask& task) {
  if (task.shown.cancel_requested) {
    EndCancelled(task);
    return;
  }
  ++task.shown.attempts;
  ++task.shown.losses;
  task.history.push_back("lost");
  if (task.shown.losses >= task.shown.retry.losses_max) {
    task.shown.error = Error{Code::kTimeout};
    End(task, Status::kFailed, "lost");
  } else {
    PutBack(task, now_);
  }
}

void QueueModel::End(ModelTask& task, Status status, const std::string& reason) {
  task.shown.status = status;
  task.shown.reason = reason;
  task.shown.finished_at = now_;
  task.shown.lease_until.reset();
  Lane& lane = lanes_[task.shown.queue];
  if (status == Status::kFinished) ++lane.finished_total;
  if (status == Status::kFailed) {
    ++lane.failed_total;
    LeaveLetter(task);
  }
  Settle(task);
}

void QueueModel::LeaveLetter(const ModelTask& failed) {
  if (failed.dead_letter.queue.empty()) return;
  const Task& task = failed.shown;
  NewTask letter;
  letter.queue = failed.dead_letter.queue;
  letter.kind = failed.dead_letter.kind;
  letter.unique_key = task.unique_key;
  letter.priority = task.priority;
  letter.retry = task.retry;
  letter.payload = {{"task_id", task.id},
                    {"kind", task.kind},
                    {"error", std::string(CodeName(task.error->code))},
                    {"attempts", task.attempts},
                    {"token", {failed.token.epoch, failed.token.counter}},
                    {"payload", task.payload}};
  letters_.push_back(std::move(letter));
}

QueueModel::Fault QueueModel::AdoptLetters(TaskQueue& queue) {
  for (NewTask& letter : std::exchange(letters_, {})) {
    TaskFilter filter;
    filter.queue = letter.queue;
    filter.kind = letter.kind;
    filter.limit = 10000;
    const auto listed = queue.List(filter);
    if (!listed.ok()) return listed.message();
    const auto found = std::find_if(listed->begin(), listed->end(), [&](const Task& task) {
      // The model doesn't know what the back end says about a failure, only its kind.
      Json payload = task.payload;
      payload["error"] = payload["error"].value("code", "");
      return payload == letter.payload && !tasks_.contains(task.id);
    });
    if (found == listed->end()) return "no dead letter of " + letter.payload["task_id"].dump();
    letter.payload = found->payload;
    Add(letter, found->id);
  }
  return "";
}

void QueueModel::EndCancelled(ModelTask& task) {
  task.history.push_back("cancelled");
  End(task, Status::kCancelled);
}

void QueueModel::Settle(const ModelTask& ended) {
  for (auto& [id, task] : tasks_) {
    const std::vector<TaskId>& after = task.shown.after;
    if (task.shown.reason != "waiting" ||
        std::find(after.begin(), after.end(), ended.shown.id) == after.end()) {
      continue;
    }
    if (ended.shown.status != Status::kFinished) {
      const bool cancelled = ended.shown.status == Status::kCancelled;
      task.shown.error = Error{cancelled ? Code::kCancelled : Code::kConflict};
      task.history.push_back("error");
      End(task, Status::kFailed, "dependency");
    } else if (std::none_of(after.begin(), after.end(), [&](const TaskId& before) {
                 return tasks_.contains(before) && IsLive(tasks_.at(before).shown);
               })) {
      MakeReady(task);
    }
  }
}

std::optional<Code> QueueModel::Cancel(const TaskId& id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return Code::kNotFound;
  ModelTask& task = found->second;
  if (!IsLive(task.shown)) return Code::kConflict;
  if (task.shown.status == Status::kStarted) {
    task.shown.cancel_requested = true;
  } else {
    EndCancelled(task);
  }
  return std::nullopt;
}

std::optional<Code> QueueModel::Retry(const TaskId& id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return Code::kNotFound;
  ModelTask& task = found->second;
  Task& shown = task.shown;
  const bool lost = shown.status == Status::kStarted && *shown.lease_until <= now_;
  if (!lost && shown.status != Status::kFailed && shown.status != Status::kCancelled) {
    return Code::kConflict;
  }
  if (!lost && Holder(shown.unique_key)) return Code::kConflict;
  bool waits = false;
  for (const TaskId& before : shown.after) {
    if (!tasks_.contains(before)) continue;
    const Task& followed = tasks_.at(before).shown;
    if (IsLive(followed)) waits = true;
    if (!IsLive(followed) && followed.status != Status::kFinished) return Code::kConflict;
  }
  shown.attempts = shown.errors = shown.crashes = shown.losses = 0;
  shown.cancel_requested = false;
  shown.finished_at.reset();
  task.history.push_back("retried");
  task.fresh = false;
  PutBack(task, now_);
  if (waits) shown.reason = "waiting";
  return std::nullopt;
}

void QueueModel::SetPaused(const std::string& queue, bool paused) {
  lanes_[queue].paused = paused;
  for (auto& [id, task] : tasks_) {
    if (task.shown.queue == queue && IsReady(task.shown)) MakeReady(task);
  }
}

void QueueModel::Maintain(const Retention& retention) {
  for (auto& [id, task] : tasks_) {
    if (task.shown.status == Status::kStarted && *task.shown.lease_until <= now_) {
      Lose(task);
    } else if (task.shown.reason == "delayed" && task.shown.available_at <= now_) {
      MakeReady(task);
    }
  }
  std::erase_if(tasks_, [&](const auto& entry) {
    const Task& task = entry.second.shown;
    if (IsLive(task)) return false;
    const Milliseconds kept =
        task.status == Status::kFinished ? retention.finished : retention.failed;
    return *task.finished_at + kept.count() <= now_;
  });
}

QueueModel::Fault QueueModel::CompareTask(const ModelTask& expected, const Task& actual) const {
  const Task& task = expected.shown;
  std::ostringstream out;
  Differ(out, "queue", task.queue, actual.queue);
  Differ(out, "kind", task.kind, actual.kind);
  Differ(out, "payload", task.payload, actual.payload);
  Differ(out, "priority", PriorityName(task.priority), PriorityName(actual.priority));
  Differ(out, "unique_key", task.unique_key, actual.unique_key);
  Differ(out, "status", StatusName(task.status), StatusName(actual.status));
  Differ(out, "reason", task.reason, actual.reason);
  Differ(out, "progress", task.progress.stage, actual.progress.stage);
  Differ(out, "attempts", task.attempts, actual.attempts);
  Differ(out, "errors", task.errors, actual.errors);
  Differ(out, "crashes", task.crashes, actual.crashes);
  Differ(out, "losses", task.losses, actual.losses);
  Differ(out, "errors_max", task.retry.errors_max, actual.retry.errors_max);
  Differ(out, "created_at", task.created_at, actual.created_at);
  Differ(out, "started_at", task.started_at, actual.started_at);
  Differ(out, "finished_at", task.finished_at, actual.finished_at);
  Differ(out, "lease_until", task.lease_until, actual.lease_until);
  Differ(out, "result", task.result, actual.result);
  Differ(out, "worker", task.worker, actual.worker);
  Differ(out, "cancel_requested", task.cancel_requested, actual.cancel_requested);
  Differ(out, "after", task.after, actual.after);
  Differ(out, "parent", task.parent, actual.parent);
  Differ(out, "failed", task.error.has_value(), actual.error.has_value());
  if (task.error && actual.error) {
    Differ(out, "error", CodeName(task.error->code), CodeName(actual.error->code));
  }
  if (task.reason == "delayed") {
    Differ(out, "available_at", task.available_at, actual.available_at);
  }
  return out.str().empty() ? "" : "task " + task.id + ":" + out.str();
}

QueueModel::Fault QueueModel::CompareStats(TaskQueue& queue) const {
  const auto stats = queue.Stats();
  if (!stats.ok()) return stats.message();
  std::ostringstream out;
  for (const QueueStats& actual : *stats) {
    const auto lane = lanes_.find(actual.name);
    if (lane == lanes_.end()) return "a queue " + actual.name + " from nowhere";
    std::array<int64_t, 5> counts{};
    int64_t delayed = 0;
    for (const auto& [id, task] : tasks_) {
      if (task.shown.queue != actual.name) continue;
      ++counts[static_cast<size_t>(task.shown.status)];
      delayed += task.shown.reason == "delayed" ? 1 : 0;
    }
    Differ(out, "queued", counts[0], actual.queued);
    Differ(out, "started", counts[1], actual.started);
    Differ(out, "finished", counts[2], actual.finished);
    Differ(out, "failed", counts[3], actual.failed);
    Differ(out, "cancelled", counts[4], actual.cancelled);
    Differ(out, "delayed", delayed, actual.delayed);
    Differ(out, "finished_total", lane->second.finished_total, actual.finished_total);
    Differ(out, "failed_total", lane->second.failed_total, actual.failed_total);
    Differ(out, "paused", lane->second.paused, actual.paused);
  }
  return out.str().empty() ? "" : "stats:" + out.str();
}

QueueModel::Fault QueueModel::Compare(TaskQueue& queue) const {
  TaskFilter all;
  all.limit = 10000;
  const auto listed = queue.List(all);
  if (!listed.ok()) return listed.message();
  if (listed->size() != tasks_.size()) {
    return std::to_string(listed->size()) + " tasks, not " + std::to_string(tasks_.size());
  }
  auto expected = tasks_.rbegin();  // newest first
  for (const Task& actual : *listed) {
    if (actual.id != expected->first) return "task " + expected->first + " is missing";
    Fault fault = CompareTask(expected->second, actual);
    if (!fault.empty()) return fault;
    const auto events = queue.Events(actual.id);
    if (!events.ok()) return events.message();
    std::vector<std::string> history;
    for (const TaskEvent& event : *events) history.push_back(event.what);
    if (history != expected->second.history) return "task " + actual.id + ": another history";
    ++expected;
  }
  return CompareStats(queue);
}

}  // namespace msearch::queue
