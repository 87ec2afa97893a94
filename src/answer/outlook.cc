#include "answer/outlook.h"

#include <pthread.h>

#include <algorithm>

#include "answer/request.h"

namespace msearch::answer {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Milliseconds kFresh{250};
// While many submit: looked at again after this, and good for three times as long.
constexpr Milliseconds kLookEvery{1000};
constexpr Milliseconds kUsable{3000};
// A shorter line is counted each time: that costs no more than a look, and is exact.
constexpr int64_t kLongLine = 100;

// Of a queue for what only some can do, those who say so.
bool TakesFrom(const queue::WorkerInfo& worker, const std::string& queue) {
  if (worker.role != RoleOf(queue) || worker.state == "stopping") return false;
  if (!IsOfAnalyses(queue) || queue == kAnalysisQueue) return true;
  const Json served = worker.detail.is_object() ? worker.detail.value("queues", Json()) : Json();
  return std::find(served.begin(), served.end(), Json(queue)) != served.end();
}

}  // namespace

// With equal tasks of mean length m and k workers, each free when its present task ends, the n-th
// task to come is started by worker n modulo k, n/k rounds later.
double EndsIn(const Outlook& outlook, int64_t ahead) {
  std::vector<double> free_in(static_cast<size_t>(outlook.workers), 0);
  for (size_t i = 0; i < outlook.busy_for_ms.size() && i < free_in.size(); ++i) {
    free_in[i] = std::max(0.0, outlook.mean_ms - outlook.busy_for_ms[i]);
  }
  std::sort(free_in.begin(), free_in.end());
  const auto workers = static_cast<int64_t>(free_in.size());
  const int64_t rounds = ahead / workers + 1;
  return free_in[static_cast<size_t>(ahead % workers)] +
         static_cast<double>(rounds) * outlook.mean_ms;
}

Lookout::Lookout(std::shared_ptr<queue::TaskQueue> queue, std::map<std::string, double> usual_ms)
    : queue_(std::move(queue)),
      usual_ms_(std::move(usual_ms)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

Lookout::~Lookout() { Stop(); }

void Lookout::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Result<Outlook> Lookout::Look(const std::string& name) {
  Outlook outlook;
  for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
    if (stats.name != name) continue;
    outlook.paused = stats.paused;
    outlook.mean_ms = stats.mean_ms;
  }
  for (const queue::WorkerInfo& worker : TRY(queue_->Workers())) {
    if (TakesFrom(worker, name)) ++outlook.workers;
  }
  queue::TaskFilter started;
  started.queue = name;
  started.status = queue::Status::kStarted;
  const UnixMs now = SystemClock().NowMs();
  for (const queue::Task& task : TRY(queue_->List(started))) {
    outlook.busy_for_ms.push_back(static_cast<double>(now - task.started_at.value_or(now)));
  }
  outlook.measured = outlook.mean_ms > 0;
  if (!outlook.measured) {
    const auto usual = usual_ms_.find(IsOfAnalyses(name) ? std::string(kAnalysisQueue) : name);
    outlook.mean_ms = usual == usual_ms_.end() ? 0 : usual->second;
    // What is under way has shown already that it takes longer.
    for (const double busy : outlook.busy_for_ms) {
      outlook.mean_ms = std::max(outlook.mean_ms, busy);
    }
  }
  const std::lock_guard lock(mutex_);
  seen_[name].at = Steady::now();
  seen_[name].outlook = outlook;
  return outlook;
}

Result<Outlook> Lookout::At(const std::string& queue, bool hurried) {
  {
    const std::lock_guard lock(mutex_);
    Seen& seen = seen_[queue];
    const auto age = Steady::now() - seen.at;
    if (age <= kFresh) return seen.outlook;
    // Of many who come at once after a while, one looks.
    const bool known = seen.at != SteadyTime{};
    if (hurried && known && (age <= kUsable || seen.looking)) {
      if (age > kLookEvery && queues_wanted_.insert(queue).second) wanted_.notify_one();
      return seen.outlook;
    }
    seen.looking = true;
  }
  auto outlook = Look(queue);
  const std::lock_guard lock(mutex_);
  seen_[queue].looking = false;
  return outlook;
}

Result<int64_t> Lookout::Count(const LineName& name, const queue::TaskId& task) {
  int64_t added = 0;
  {
    const std::lock_guard lock(mutex_);
    added = lines_[name].added;
  }
  const int64_t ahead = TRY(queue_->CountAhead(task));
  const std::lock_guard lock(mutex_);
  Line& line = lines_[name];
  line.counted_at = Steady::now();
  line.ahead = ahead + (line.added - added);
  return ahead;
}

Result<int64_t> Lookout::AheadOf(const queue::Task& newest) {
  const LineName name{newest.queue, newest.priority};
  {
    const std::lock_guard lock(mutex_);
    Line& line = lines_[name];
    ++line.added;
    ++line.ahead;
    line.newest = newest.id;
    const auto age = Steady::now() - line.counted_at;
    if (line.ahead >= kLongLine && (age <= kUsable || line.counting)) {
      if (age > kLookEvery && lines_wanted_.insert(name).second) wanted_.notify_one();
      return line.ahead;
    }
    line.counting = true;
  }
  auto ahead = Count(name, newest.id);
  const std::lock_guard lock(mutex_);
  lines_[name].counting = false;
  return ahead;
}

void Lookout::Run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "desk-look");
  while (true) {
    std::set<std::string> queues;
    std::vector<std::pair<LineName, queue::TaskId>> lines;
    {
      std::unique_lock lock(mutex_);
      wanted_.wait(lock, stop, [&] { return !queues_wanted_.empty() || !lines_wanted_.empty(); });
      if (stop.stop_requested()) return;
      queues.swap(queues_wanted_);
      for (const LineName& name : lines_wanted_) lines.emplace_back(name, lines_[name].newest);
      lines_wanted_.clear();
    }
    // What can't be seen now is looked at by who asks when it has become too old.
    for (const std::string& queue : queues) (void)Look(queue);
    for (const auto& [name, newest] : lines) (void)Count(name, newest);
  }
}

}  // namespace msearch::answer
