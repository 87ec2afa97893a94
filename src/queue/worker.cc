// Two threads: the caller's leases, runs handlers and reports outcomes; the "heart" does
// everything that has to happen by the clock while a handler is busy: extends leases at a third
// of their duration, ends attempts whose time is up, passes progress on, gives leases back when
// the grace of a stop is over, and shows the worker as alive.
//
// Both may want to end one attempt at the same moment. Neither asks the other: the queue's fencing
// lets the first one win, and the loser's call is refused as stale.
#include "queue/worker.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "queue/spool.h"
#include "queue/task_id.h"

namespace msearch::queue {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Milliseconds kBeat{5000};          // between signs of life
constexpr Milliseconds kBeatTtl{16000};      // three may be missed
constexpr Milliseconds kProgressEvery{250};  // at most so often per worker
constexpr Milliseconds kIdleEvery{1000};     // between calls of options.idle
constexpr Milliseconds kWaitMax{30000};      // for a task, when nothing else needs the thread
constexpr Milliseconds kExtendAgain{500};    // after an extension that failed

// One lease under work; shared by the two threads. Thread-safe.
class Attempt {
 public:
  explicit Attempt(Lease lease) : lease_(std::move(lease)) {}

  const Lease& lease() const { return lease_; }
  std::stop_token stop_token() const { return stop_.get_token(); }

  void Begin() { deadline_ = Steady::now() + lease_.task.timeout; }
  Steady::time_point deadline() const { return deadline_; }

  // Its end is decided elsewhere; the handler should return soon and its outcome is dropped.
  void Abandon() {
    abandoned_ = true;
    stop_.request_stop();
  }
  bool abandoned() const { return abandoned_; }
  // Abandoned because somebody else has the task by now.
  void Lose() {
    lost_ = true;
    Abandon();
  }
  bool lost() const { return lost_; }

  void Report(const Progress& progress) {
    const std::lock_guard lock(mutex_);
    progress_ = progress;
  }
  std::optional<Progress> TakeProgress() {
    const std::lock_guard lock(mutex_);
    return std::exchange(progress_, std::nullopt);
  }

 private:
  const Lease lease_;
  std::stop_source stop_;
  std::atomic<Steady::time_point> deadline_{Steady::time_point::max()};
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> lost_{false};
  std::mutex mutex_;
  std::optional<Progress> progress_;  // by mutex_
};

using Attempts = std::vector<std::shared_ptr<Attempt>>;

// Every fifth time the queues begin with another than the preferred one.
std::vector<std::string> QueuesInTurn(std::vector<std::string> queues, uint64_t taken) {
  if (queues.size() < 2 || taken % 5 != 4) return queues;
  const size_t first = 1 + taken / 5 % (queues.size() - 1);
  std::rotate(queues.begin(), queues.begin() + static_cast<ptrdiff_t>(first),
              queues.begin() + static_cast<ptrdiff_t>(first) + 1);
  return queues;
}

class Runner {
 public:
  Runner(TaskQueue& queue, const WorkerOptions& options, std::stop_token stop, Milliseconds grace)
      : queue_(queue),
        options_(options),
        stop_(std::move(stop)),
        grace_(grace),
        spool_(options.spool_directory) {}

  void Run();
  void ProgressReported();

 private:
  bool Ready();
  std::vector<std::string> Queues() const;
  void StepBack();
  void RunBatch(std::vector<Lease> leases);
  void RunGroup(const std::string& kind, const Attempts& group);
  void Settle(const Attempts& group, std::vector<Outcome> outcomes);
  void CompleteAll(const Attempts& done, std::vector<Completion> completions);
  void FailOne(const Attempt& attempt, const Error& error);
  void ReleaseOne(const Attempt& attempt, Milliseconds delay);
  void Pause(int failures);
  // Repeats a call to the queue while the back end is away, until the grace of a stop is over.
  template <typename Call>
  auto Insist(Call&& call) -> decltype(call());

  void Heart(const std::stop_token& end);
  Steady::time_point NextBeat() const;  // REQUIRES: mutex_
  void Poke();                          // the same
  void ExtendAll(const Attempts& active);
  void EndOverdue(const Attempts& active);
  void PassProgress(const Attempts& active);
  double BusyShare();
  void ShowAlive();
  bool GraceOver() const { return Steady::now() >= give_up_at_.load(); }

  TaskQueue& queue_;
  const WorkerOptions& options_;
  const std::stop_token stop_;
  const Milliseconds grace_;
  Spool spool_;  // of the caller's thread

  std::atomic<Steady::time_point> give_up_at_{Steady::time_point::max()};
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  Attempts active_;                   // by mutex_
  Steady::time_point batch_began_{};  // by mutex_: while active_ isn't empty
  Steady::duration busy_{};           // by mutex_: of the batches that ended
  bool unable_ = false;               // by mutex_
  bool progress_reported_ = false;    // by mutex_
  bool poked_ = false;                // by mutex_: the heart should look again

  Steady::time_point heart_sleeps_until_ = Steady::time_point::max();  // by mutex_

  std::atomic<uint64_t> done_count_ = 0;
  std::atomic<uint64_t> stale_count_ = 0;

  // Written by the heart alone.
  Steady::time_point share_at_ = Steady::now();
  Steady::duration share_busy_{};
  double share_ = 0;
  std::atomic<Steady::time_point> next_extend_{Steady::time_point{}};
  std::atomic<Steady::time_point> next_progress_{Steady::time_point{}};
  std::atomic<Steady::time_point> next_alive_{Steady::time_point{}};
};

class Context final : public TaskContext {
 public:
  Context(Runner& runner, std::shared_ptr<Attempt> attempt)
      : runner_(runner), attempt_(std::move(attempt)) {}
  bool ShouldStop() const override { return attempt_->stop_token().stop_requested(); }
  std::stop_token stop_token() const override { return attempt_->stop_token(); }
  void SetProgress(const Progress& progress) override {
    attempt_->Report(progress);
    runner_.ProgressReported();
  }
  const Lease& lease() const override { return attempt_->lease(); }

 private:
  Runner& runner_;
  std::shared_ptr<Attempt> attempt_;
};

void Runner::Run() {
  const std::stop_callback on_stop(stop_, [this] {
    const std::lock_guard lock(mutex_);
    give_up_at_ = Steady::now() + grace_;
    Poke();
  });
  std::jthread heart([this](const std::stop_token& end) { Heart(end); });
  LeaseRequest request;
  request.worker = options_.info.id;
  request.count_max = options_.batch_max;
  request.duration = options_.lease_duration;
  request.wait_max = options_.idle ? kIdleEvery : kWaitMax;
  request.stop = stop_;
  request.stays = true;
  int failures = 0;
  uint64_t taken = 0;
  if (const int delivered = spool_.Deliver(queue_); delivered > 0) {
    LOG_INFO("{} results of an earlier process delivered", delivered);
  }
  while (!stop_.stop_requested()) {
    if (!Ready()) continue;
    request.queues = QueuesInTurn(Queues(), taken);
    Result<std::vector<Lease>> leases = queue_.TakeLeases(request);
    if (!leases.ok()) {
      if (failures++ == 0) LOG_WARNING("queue: {}; trying again", leases.message());
      Pause(failures);
      continue;
    }
    if (failures > 0) {
      LOG_INFO("queue: is back");
      spool_.Deliver(queue_);
    }
    failures = 0;
    if (!leases->empty()) {
      ++taken;
      RunBatch(*std::move(leases));
    } else if (options_.idle) {
      options_.idle();
    }
  }
  heart.request_stop();
  heart.join();
  StepBack();
  const Result<> forgotten = queue_.Forget(options_.info.id);
  if (!forgotten.ok()) LOG_WARNING("queue: {}", forgotten.message());
}

std::vector<std::string> Runner::Queues() const {
  std::vector<std::string> queues = options_.queues;
  if (!options_.more_queues) return queues;
  for (std::string& more : options_.more_queues()) queues.push_back(std::move(more));
  return queues;
}

void Runner::StepBack() {
  const Result<> told = queue_.StepBack(options_.info.id);
  if (!told.ok()) LOG_WARNING("queue: {}", told.message());
}

bool Runner::Ready() {
  const bool ready = !options_.ready || options_.ready();
  if (!ready && options_.idle) options_.idle();
  if (!ready && !unable_) StepBack();
  std::unique_lock lock(mutex_);
  if (unable_ == ready) {
    unable_ = !ready;
    next_alive_ = Steady::now();
    Poke();
  }
  if (!ready) changed_.wait_for(lock, stop_, kIdleEvery, [] { return false; });
  return ready;
}

void Runner::Pause(int failures) {
  RetryPolicy policy;
  policy.backoff_first = Milliseconds(200);
  policy.backoff_max = Milliseconds(2000);
  const Steady::time_point until =
      std::min(Steady::now() + Backoff(policy, failures, RandomFraction()), give_up_at_.load());
  // A stop ends the wait that it falls into, so that the bound by its grace is seen.
  const std::stop_token interrupt = stop_.stop_requested() ? std::stop_token() : stop_;
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, interrupt, until, [] { return false; });
}

template <typename Call>
auto Runner::Insist(Call&& call) -> decltype(call()) {
  for (int failures = 1;; ++failures) {
    auto result = call();
    const bool again =
        !result.ok() && (result.code() == Code::kUnavailable || result.code() == Code::kExhausted);
    if (!again || GraceOver()) return result;
    Pause(failures);
  }
}

void Runner::RunBatch(std::vector<Lease> leases) {
  Attempts batch;
  std::map<std::string, Attempts> groups;
  for (Lease& lease : leases) {
    batch.push_back(std::make_shared<Attempt>(std::move(lease)));
    groups[batch.back()->lease().task.kind].push_back(batch.back());
  }
  {
    const std::lock_guard lock(mutex_);
    active_ = batch;
    batch_began_ = Steady::now();
  }
  for (auto& [kind, group] : groups) {
    std::erase_if(group, [](const auto& attempt) { return attempt->abandoned(); });
    if (!stop_.stop_requested()) {
      RunGroup(kind, group);
      continue;
    }
    for (const auto& attempt : group) {
      attempt->Abandon();
      ReleaseOne(*attempt, Milliseconds(0));
    }
  }
  const std::lock_guard lock(mutex_);
  active_.clear();
  busy_ += Steady::now() - batch_began_;
}

void Runner::RunGroup(const std::string& kind, const Attempts& group) {
  if (group.empty()) return;
  const auto handler = options_.handlers.find(kind);
  if (handler == options_.handlers.end()) {
    const Error error{Code::kUnsupported, "task kind " + kind + ": this worker has no handler"};
    for (const auto& attempt : group) FailOne(*attempt, error);
    return;
  }
  std::vector<std::unique_ptr<TaskContext>> contexts;
  for (const auto& attempt : group) {
    attempt->Begin();
    contexts.push_back(std::make_unique<Context>(*this, attempt));
  }
  {
    const std::lock_guard lock(mutex_);
    // Waking the heart for every batch would cost more than a short task.
    if (NextBeat() < heart_sleeps_until_) Poke();
  }
  std::vector<Outcome> outcomes = handler->second(contexts);
  assert(outcomes.size() == group.size());
  Settle(group, std::move(outcomes));
}

void Runner::Settle(const Attempts& group, std::vector<Outcome> outcomes) {
  Attempts done;
  std::vector<Completion> completions;
  for (size_t i = 0; i < group.size(); ++i) {
    const Attempt& attempt = *group[i];
    Outcome& outcome = outcomes[i];
    if (attempt.abandoned()) {
      if (attempt.lost()) ++stale_count_;
      continue;
    }
    if (outcome.release) {
      ReleaseOne(attempt, outcome.delay);
    } else if (!outcome.status.ok()) {
      FailOne(attempt, outcome.status.error());
    } else {
      done.push_back(group[i]);
      completions.push_back(
          {attempt.lease(), std::move(outcome.result), std::move(outcome.follow_ups)});
    }
  }
  CompleteAll(done, std::move(completions));
}

void Runner::CompleteAll(const Attempts& done, std::vector<Completion> completions) {
  if (completions.empty()) return;
  std::string kept;
  const auto answers = Insist([&] {
    auto told = queue_.Complete(completions);
    if (!told.ok() && kept.empty()) kept = spool_.Keep(completions);
    return told;
  });
  if (answers.ok()) spool_.Remove(kept);
  if (!answers.ok()) {
    LOG_ERROR("{} tasks: done, but the queue could not be told: {}{}", done.size(),
              answers.message(), kept.empty() ? "" : "; they wait on disk");
    return;
  }
  for (size_t i = 0; i < done.size(); ++i) {
    const Result<>& answer = (*answers)[i];
    if (answer.ok()) {
      ++done_count_;
    } else if (answer.code() == Code::kStale) {
      ++stale_count_;
      LOG_WARNING("{}; its result is dropped", answer.message());
    } else {
      FailOne(*done[i], answer.error());
    }
  }
}

void Runner::FailOne(const Attempt& attempt, const Error& error) {
  const Result<> told = Insist([&] { return queue_.Fail({attempt.lease(), error}); });
  if (!told.ok()) LOG_WARNING("{}", told.message());
}

void Runner::ReleaseOne(const Attempt& attempt, Milliseconds delay) {
  const Result<> told = Insist([&] { return queue_.Release(attempt.lease(), delay); });
  if (!told.ok()) LOG_WARNING("{}", told.message());
}

void Runner::ProgressReported() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(progress_reported_, true)) Poke();
}

void Runner::Heart(const std::stop_token& end) {
  pthread_setname_np(pthread_self(), "heart");
  while (!end.stop_requested()) {
    const Steady::time_point now = Steady::now();
    Attempts active;
    bool progress = false;
    {
      const std::lock_guard lock(mutex_);
      active = active_;
      progress = progress_reported_ && now >= next_progress_.load();
      if (progress) progress_reported_ = false;
      poked_ = false;
    }
    std::erase_if(active, [](const auto& attempt) { return attempt->abandoned(); });
    EndOverdue(active);
    if (now >= next_extend_.load()) ExtendAll(active);
    if (progress) PassProgress(active);
    if (now >= next_alive_.load()) ShowAlive();
    std::unique_lock lock(mutex_);
    heart_sleeps_until_ = NextBeat();
    changed_.wait_until(lock, end, heart_sleeps_until_, [&] { return poked_; });
  }
}

void Runner::Poke() {
  poked_ = true;
  changed_.notify_all();
}

Steady::time_point Runner::NextBeat() const {
  Steady::time_point next = std::min(next_alive_.load(), next_extend_.load());
  if (progress_reported_) next = std::min(next, next_progress_.load());
  for (const auto& attempt : active_) {
    if (attempt->abandoned()) continue;
    next = std::min({next, attempt->deadline(), give_up_at_.load()});
  }
  return next;
}

void Runner::EndOverdue(const Attempts& active) {
  const bool give_up = GraceOver();
  for (const auto& attempt : active) {
    const Lease& lease = attempt->lease();
    if (give_up) {
      attempt->Abandon();
      ReleaseOne(*attempt, Milliseconds(0));
    } else if (Steady::now() >= attempt->deadline()) {
      attempt->Abandon();
      FailOne(*attempt, {Code::kTimeout, "task " + lease.task.id + ": did not end within " +
                                             std::to_string(lease.task.timeout.count()) + " ms"});
    }
  }
}

void Runner::ExtendAll(const Attempts& active) {
  next_extend_ = Steady::now() + options_.lease_duration / 3;
  if (active.empty()) return;
  std::vector<Lease> leases;
  for (const auto& attempt : active) leases.push_back(attempt->lease());
  const auto held = queue_.Extend(leases, options_.lease_duration);
  if (!held.ok()) {
    LOG_WARNING("leases: can't be extended: {}", held.message());
    next_extend_ = std::min(next_extend_.load(), Steady::now() + kExtendAgain);
    return;
  }
  for (size_t i = 0; i < active.size(); ++i) {
    // Lost, cancelled, or ended by the other thread just now, who then doesn't mind.
    if ((*held)[i].held) continue;
    if ((*held)[i].cancelled) {
      active[i]->Abandon();
    } else {
      active[i]->Lose();
    }
  }
}

void Runner::PassProgress(const Attempts& active) {
  next_progress_ = Steady::now() + kProgressEvery;
  for (const auto& attempt : active) {
    const std::optional<Progress> progress = attempt->TakeProgress();
    if (!progress) continue;
    const Result<> told = queue_.SetProgress(attempt->lease(), *progress);
    if (!told.ok() && told.code() != Code::kStale) LOG_WARNING("progress: {}", told.message());
  }
}

// An average that forgets half of the past in 30 seconds.
double Runner::BusyShare() {
  const Steady::time_point now = Steady::now();
  Steady::duration busy;
  {
    const std::lock_guard lock(mutex_);
    busy = busy_;
    if (!active_.empty()) busy += now - batch_began_;
  }
  const std::chrono::duration<double> since = now - share_at_;
  const std::chrono::duration<double> worked = busy - share_busy_;
  if (since.count() > 0) {
    const double kept = std::exp2(-since.count() / 30);
    share_ = share_ * kept + std::clamp(worked / since, 0.0, 1.0) * (1 - kept);
  }
  share_at_ = now;
  share_busy_ = busy;
  return std::round(share_ * 1000) / 1000;
}

void Runner::ShowAlive() {
  next_alive_ = Steady::now() + kBeat;
  WorkerInfo info = options_.info;
  {
    const std::lock_guard lock(mutex_);
    info.state = stop_.stop_requested() ? "stopping"
                 : !active_.empty()     ? "busy"
                 : unable_              ? "unable"
                                        : "idle";
  }
  if (options_.detail) info.detail = options_.detail();
  info.detail["queues"] = Queues();
  // Beside the queue's own time of the heartbeat it tells a clock that is wrong.
  info.detail["clock_ms"] = SystemClock().NowMs();
  info.detail["utilisation"] = BusyShare();
  info.detail["tasks_done"] = done_count_.load();
  info.detail["stale_results"] = stale_count_.load();
  const Result<> told = queue_.Heartbeat(info, kBeatTtl);
  if (!told.ok()) LOG_WARNING("heartbeat: {}", told.message());
}

}  // namespace

void RunWorker(TaskQueue& queue, const WorkerOptions& options, std::stop_token stop,
               Milliseconds grace) {
  Runner(queue, options, std::move(stop), grace).Run();
}

}  // namespace msearch::queue
