#include "queue/failover_queue.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>

#include "base/file.h"
#include "base/log.h"

namespace msearch::queue {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Milliseconds kConnectAgain{1000};
constexpr Milliseconds kDrainingWait{500};  // in the shared back end, before the local is looked at

bool IsAway(Code code) { return code == Code::kUnavailable || code == Code::kTimeout; }

std::string_view NameOf(FailoverQueue::State state) {
  switch (state) {
    case FailoverQueue::State::kShared:
      return "shared";
    case FailoverQueue::State::kLocal:
      return "local";
    case FailoverQueue::State::kDraining:
      return "draining";
  }
  return "";
}

}  // namespace

Result<std::unique_ptr<FailoverQueue>> FailoverQueue::Open(const FailoverOptions& options) {
  std::unique_ptr<FailoverQueue> queue(new FailoverQueue(options));
  if (options.owner) {
    TRY(queue->DecideFirst());
  } else {
    queue->LookAsFollower();
  }
  queue->thread_ =
      std::jthread([raw = queue.get()](const std::stop_token& stop) { raw->Watch(stop); });
  return queue;
}

FailoverQueue::~FailoverQueue() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

std::string FailoverQueue::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

// --- the state -----------------------------------------------------------------------------

Result<> FailoverQueue::DecideFirst() {
  auto shared = Shared();
  Result<std::string> state = shared.ok() ? (*shared)->StateId() : shared.error();
  answered_at_ = Steady::now();
  if (state.ok()) {
    // What the last owner left in the local queue is drained as after any other return.
    DropRebuilt();
    SwitchTo(TRY(Drained()) ? State::kShared : State::kDraining, "");
    return Ok{};
  }
  if (!IsAway(state.code()) || !options_.fall_back) return state.error();
  SwitchTo(State::kLocal, state.message());
  return Ok{};
}

void FailoverQueue::Watch(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "failover");
  std::mutex mutex;
  std::condition_variable_any never;
  while (!stop.stop_requested()) {
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, options_.look_every, [] { return false; });
    if (!stop.stop_requested()) Look();
  }
}

void FailoverQueue::Look() {
  const std::lock_guard lock(look_mutex_);
  if (options_.owner) {
    LookAsOwner();
  } else {
    LookAsFollower();
  }
}

void FailoverQueue::LookAsOwner() {
  auto shared = Shared();
  const Result<std::string> answer = shared.ok() ? (*shared)->StateId() : shared.error();
  const Steady::time_point now = Steady::now();
  if (answer.ok()) {
    answered_at_ = now;
    if (!back_since_) back_since_ = now;
  } else {
    back_since_.reset();
  }
  const State state = state_;
  if (!answer.ok() && answer.code() == Code::kConflict && state != State::kLocal) {
    return SwitchTo(State::kLocal, answer.message());  // it's not ours any more
  }
  if (state == State::kLocal) {
    if (answer.ok() && now - *back_since_ >= options_.patience) SwitchTo(State::kDraining, "");
    return;
  }
  if (!answer.ok() && options_.fall_back && now - answered_at_ >= options_.patience) {
    SwitchTo(State::kLocal, answer.message());
    return;
  }
  if (!options_.fall_back) TellOfAbsence(answer, now);
  if (state == State::kDraining) {
    DropRebuilt();
    const auto drained = Drained();
    if (drained.ok() && *drained) SwitchTo(State::kShared, "");
  }
}

// Without a fall-back nothing changes, but people are to know what everything waits for.
void FailoverQueue::TellOfAbsence(const Result<std::string>& answer, SteadyTime now) {
  if (!answer.ok() && now - answered_at_ < options_.patience) return;
  const std::lock_guard lock(mutex_);
  problem_ = answer.ok() ? ""
                         : options_.server + " is away (" + answer.message() +
                               "): tasks wait for it, since redis.fallback is off";
}

void FailoverQueue::DropRebuilt() {
  for (const std::string& name : options_.rebuilt) {
    TaskFilter filter;
    filter.queue = name;
    filter.status = Status::kQueued;
    filter.limit = 1000;
    while (true) {
      const auto tasks = options_.local->List(filter);
      if (!tasks.ok()) return;
      for (const Task& task : *tasks) {
        // What has no key is wanted by somebody who waits for just this task.
        if (!task.unique_key.empty()) (void)options_.local->Cancel(task.id);
      }
      if (tasks->size() < filter.limit) break;
      filter.before = tasks->back().id;
    }
  }
}

Result<bool> FailoverQueue::Drained() {
  for (const QueueStats& stats : TRY(options_.local->Stats())) {
    if (!IsLocalQueue(stats.name) && stats.queued + stats.started > 0) return false;
  }
  return true;
}

void FailoverQueue::LookAsFollower() {
  const std::string text = ReadFile(options_.state_path, 1 << 16).value_or("");
  if (text == seen_) return;
  seen_ = text;
  const Json json = ParseJson(text).value_or(Json::object());
  const std::string name = GetString(json, "state").value_or("");
  const State state = name == NameOf(State::kLocal)      ? State::kLocal
                      : name == NameOf(State::kDraining) ? State::kDraining
                                                         : State::kShared;
  SwitchTo(state, GetString(json, "problem").value_or(""));
}

void FailoverQueue::SwitchTo(State state, const std::string& problem) {
  const State before = state_.exchange(state);
  std::stop_source old;
  {
    const std::lock_guard lock(mutex_);
    problem_ = state != State::kLocal ? ""
               : problem.empty()      ? options_.server + " is away"
               : options_.owner       ? options_.server + " is away (" + problem +
                                      "): tasks are queued and worked on by this machine alone"
                                : problem;
    old = std::exchange(switched_, std::stop_source());
  }
  old.request_stop();
  if (!options_.owner) return;
  if (before != state) LOG_WARNING("queue: {} -> {} {}", NameOf(before), NameOf(state), problem);
  Publish();
}

void FailoverQueue::Publish() {
  const Json json{{"state", NameOf(state_)}, {"problem", problem()}};
  const Result<> written = WriteFileAtomically(options_.state_path, DumpJson(json) + "\n");
  if (!written.ok()) LOG_ERROR("queue: state: {}", written.message());
}

// --- which back end ------------------------------------------------------------------------

Result<std::shared_ptr<TaskQueue>> FailoverQueue::Shared() {
  {
    std::unique_lock lock(mutex_);
    // Connecting is bounded in time, so whoever comes meanwhile waits for its end.
    connected_.wait(lock, [this] { return !connecting_; });
    if (shared_ != nullptr) return shared_;
    if (Steady::now() < connect_at_) return connect_error_;
    connecting_ = true;
  }
  auto opened = options_.open_shared();
  const std::lock_guard lock(mutex_);
  connecting_ = false;
  connected_.notify_all();
  if (!opened.ok()) {
    connect_at_ = Steady::now() + kConnectAgain;
    connect_error_ = opened.error();
    return opened;
  }
  if (shared_ == nullptr) shared_ = std::move(*opened);
  return shared_;
}

Result<std::shared_ptr<TaskQueue>> FailoverQueue::Current() {
  if (state_ == State::kLocal) return options_.local;
  return Shared();
}

bool FailoverQueue::OnlyLocal(std::span<const std::string> names) const {
  return std::all_of(names.begin(), names.end(),
                     [this](const std::string& name) { return IsLocalQueue(name); });
}

bool FailoverQueue::IsLocalLease(const Lease& lease) const {
  if (IsLocalQueue(lease.task.queue)) return true;
  const std::lock_guard lock(mutex_);
  return leased_here_.contains(lease.task.id);
}

bool FailoverQueue::IsLeftBehind(const Lease& lease) const {
  return state_ == State::kLocal && !IsLocalLease(lease);
}

void FailoverQueue::Forget(const Lease& lease) {
  const std::lock_guard lock(mutex_);
  leased_here_.erase(lease.task.id);
}

// The local back end answers at once, so it is asked first.
template <typename Call>
auto FailoverQueue::OnOwnerOf(const TaskId& id, Call&& call)
    -> decltype(call(std::declval<TaskQueue&>())) {
  auto here = options_.local->Get(id);
  if (here.ok()) return call(*options_.local);
  if (here.code() != Code::kNotFound) return here.error();
  if (state_ == State::kLocal) {
    return Error{Code::kUnavailable,
                 "task " + id + ": not on this machine, and " + options_.server + " is away"};
  }
  auto shared = Shared();
  if (!shared.ok()) return shared.error();
  return call(**shared);
}

// --- the contract --------------------------------------------------------------------------

Result<std::vector<TaskId>> FailoverQueue::Enqueue(std::span<const NewTask> tasks) {
  const auto local = std::count_if(
      tasks.begin(), tasks.end(), [this](const NewTask& task) { return IsLocalQueue(task.queue); });
  if (local == static_cast<ptrdiff_t>(tasks.size())) return options_.local->Enqueue(tasks);
  if (local > 0) {
    return Error{Code::kInvalid, "tasks: of this machine and of all at once"};
  }
  return TRY(Current())->Enqueue(tasks);
}

Result<std::vector<Lease>> FailoverQueue::TakeLeases(const LeaseRequest& request) {
  if (OnlyLocal(request.queues)) return options_.local->TakeLeases(request);
  auto take_here = [&](const LeaseRequest& wanted) -> Result<std::vector<Lease>> {
    auto leases = options_.local->TakeLeases(wanted);
    if (!leases.ok()) return leases;
    const std::lock_guard lock(mutex_);
    for (const Lease& lease : *leases) leased_here_.insert(lease.task.id);
    return leases;
  };
  LeaseRequest bounded = request;
  std::stop_source ended;  // by the caller or by a switch
  std::stop_token switched;
  {
    const std::lock_guard lock(mutex_);
    switched = switched_.get_token();
  }
  const State state = state_;
  const std::stop_callback by_caller(request.stop, [&] { ended.request_stop(); });
  const std::stop_callback by_switch(switched, [&] { ended.request_stop(); });
  bounded.stop = ended.get_token();
  if (state == State::kLocal) return take_here(bounded);
  if (state == State::kDraining) {
    LeaseRequest now = bounded;
    now.wait_max = Milliseconds(0);
    auto leases = take_here(now);
    if (!leases.ok() || !leases->empty()) return leases;
    bounded.wait_max = std::min(bounded.wait_max, kDrainingWait);
    // What comes from here goes first, so the server had better not give it anything meanwhile.
    bounded.stays = false;
    if (request.stays) TRY(TRY(Shared())->StepBack(request.worker));
  }
  return TRY(Shared())->TakeLeases(bounded);
}

Result<std::vector<TaskQueue::Held>> FailoverQueue::Extend(std::span<const Lease> leases,
                                                           Milliseconds duration) {
  std::vector<Held> all(leases.size());
  std::array<std::vector<Lease>, 2> parts;  // shared, local
  std::array<std::vector<size_t>, 2> places;
  for (size_t i = 0; i < leases.size(); ++i) {
    // Nobody can say; whoever has the task now, the first to commit wins.
    if (IsLeftBehind(leases[i])) {
      all[i].held = true;
      continue;
    }
    const size_t part = IsLocalLease(leases[i]) ? 1 : 0;
    parts[part].push_back(leases[i]);
    places[part].push_back(i);
  }
  for (size_t part = 0; part < 2; ++part) {
    if (parts[part].empty()) continue;
    const auto queue = part == 1 ? options_.local : TRY(Shared());
    const auto held = TRY(queue->Extend(parts[part], duration));
    for (size_t i = 0; i < held.size(); ++i) {
      all[places[part][i]] = held[i];
      if (part == 1 && !held[i].held) Forget(parts[part][i]);
    }
  }
  return all;
}

Result<std::vector<Result<>>> FailoverQueue::Complete(std::span<const Completion> completions) {
  std::vector<Result<>> all(completions.size(), Ok{});
  std::array<std::vector<Completion>, 2> parts;  // shared, local
  std::array<std::vector<size_t>, 2> places;
  for (size_t i = 0; i < completions.size(); ++i) {
    const Completion& completion = completions[i];
    if (IsLeftBehind(completion.lease)) {
      // A follow-up whose key is taken by the task that was made anew here is dropped with it.
      if (!completion.follow_ups.empty()) TRY(options_.local->Enqueue(completion.follow_ups));
      continue;
    }
    const size_t part = IsLocalLease(completion.lease) ? 1 : 0;
    parts[part].push_back(completion);
    places[part].push_back(i);
  }
  for (size_t part : {1, 0}) {
    if (parts[part].empty()) continue;
    const auto queue = part == 1 ? options_.local : TRY(Shared());
    auto answers = TRY(queue->Complete(parts[part]));
    for (size_t i = 0; i < answers.size(); ++i) {
      if (part == 1) Forget(parts[part][i].lease);
      all[places[part][i]] = std::move(answers[i]);
    }
  }
  return all;
}

Result<> FailoverQueue::Fail(const Failure& failure) {
  if (IsLeftBehind(failure.lease)) return Ok{};
  if (!IsLocalLease(failure.lease)) return TRY(Shared())->Fail(failure);
  Result<> done = options_.local->Fail(failure);
  if (done.ok() || done.code() == Code::kStale) Forget(failure.lease);
  return done;
}

Result<> FailoverQueue::Release(const Lease& lease, Milliseconds delay) {
  if (IsLeftBehind(lease)) return Ok{};
  if (!IsLocalLease(lease)) return TRY(Shared())->Release(lease, delay);
  Result<> done = options_.local->Release(lease, delay);
  if (done.ok() || done.code() == Code::kStale) Forget(lease);
  return done;
}

Result<> FailoverQueue::SetProgress(const Lease& lease, const Progress& progress) {
  if (IsLeftBehind(lease)) return Ok{};
  if (IsLocalLease(lease)) return options_.local->SetProgress(lease, progress);
  return TRY(Shared())->SetProgress(lease, progress);
}

Result<> FailoverQueue::Cancel(const TaskId& id) {
  return OnOwnerOf(id, [&](TaskQueue& queue) { return queue.Cancel(id); });
}

Result<> FailoverQueue::Retry(const TaskId& id) {
  return OnOwnerOf(id, [&](TaskQueue& queue) { return queue.Retry(id); });
}

Result<int64_t> FailoverQueue::CountAhead(const TaskId& id) {
  return OnOwnerOf(id, [&](TaskQueue& queue) { return queue.CountAhead(id); });
}

Result<Task> FailoverQueue::Get(const TaskId& id) {
  return OnOwnerOf(id, [&](TaskQueue& queue) { return queue.Get(id); });
}

Result<std::vector<TaskEvent>> FailoverQueue::Events(const TaskId& id) {
  return OnOwnerOf(id, [&](TaskQueue& queue) { return queue.Events(id); });
}

Result<Task> FailoverQueue::Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) {
  return OnOwnerOf(id, [&](TaskQueue& queue) { return queue.Await(id, wait_max, stop); });
}

Result<std::vector<Task>> FailoverQueue::List(const TaskFilter& filter) {
  auto all = TRY(options_.local->List(filter));
  if (state_ == State::kLocal) return all;
  auto more = TRY(TRY(Shared())->List(filter));
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  // Ids grow with time; newest first.
  std::sort(all.begin(), all.end(), [](const Task& a, const Task& b) { return a.id > b.id; });
  if (all.size() > filter.limit) all.resize(filter.limit);
  return all;
}

Result<int64_t> FailoverQueue::Count(const TaskFilter& filter) {
  const int64_t here = TRY(options_.local->Count(filter));
  if (state_ == State::kLocal) return here;
  return here + TRY(TRY(Shared())->Count(filter));
}

Result<std::vector<QueueStats>> FailoverQueue::Stats() {
  auto all = TRY(options_.local->Stats());
  if (state_ == State::kLocal) return all;
  std::map<std::string, QueueStats> by_name;
  for (QueueStats& stats : all) by_name[stats.name] = std::move(stats);
  for (QueueStats& more : TRY(TRY(Shared())->Stats())) {
    QueueStats& sum = by_name[more.name];
    sum.name = more.name;
    sum.queued += more.queued;
    sum.delayed += more.delayed;
    sum.started += more.started;
    sum.finished += more.finished;
    sum.failed += more.failed;
    sum.cancelled += more.cancelled;
    sum.finished_total += more.finished_total;
    sum.failed_total += more.failed_total;
    if (more.mean_ms > 0) sum.mean_ms = more.mean_ms;
    sum.paused |= more.paused;
  }
  all.clear();
  for (auto& [name, stats] : by_name) all.push_back(std::move(stats));
  return all;
}

Result<> FailoverQueue::Pause(const std::string& queue) {
  if (!IsLocalQueue(queue) && state_ != State::kLocal) TRY(TRY(Shared())->Pause(queue));
  return options_.local->Pause(queue);
}

Result<> FailoverQueue::Resume(const std::string& queue) {
  if (!IsLocalQueue(queue) && state_ != State::kLocal) TRY(TRY(Shared())->Resume(queue));
  return options_.local->Resume(queue);
}

Result<> FailoverQueue::Heartbeat(const WorkerInfo& worker, Milliseconds ttl) {
  return TRY(Current())->Heartbeat(worker, ttl);
}

Result<Task> FailoverQueue::EnqueueAndAwait(const NewTask& task, Milliseconds wait_max,
                                            std::stop_token stop) {
  const auto queue = IsLocalQueue(task.queue) ? options_.local : TRY(Current());
  return queue->EnqueueAndAwait(task, wait_max, std::move(stop));
}

// A server that is away gives nothing, and trusts no worker that was silent for some seconds.
Result<> FailoverQueue::StepBack(const std::string& worker) {
  if (state_ == State::kLocal) return Ok{};
  return TRY(Shared())->StepBack(worker);
}

Result<> FailoverQueue::Forget(const std::string& worker_id) {
  TRY(options_.local->Forget(worker_id));
  if (state_ == State::kLocal) return Ok{};
  return TRY(Shared())->Forget(worker_id);
}

Result<std::vector<WorkerInfo>> FailoverQueue::Workers() {
  auto all = TRY(options_.local->Workers());
  if (state_ == State::kLocal) return all;
  for (WorkerInfo& worker : TRY(TRY(Shared())->Workers())) {
    auto same = std::find_if(all.begin(), all.end(),
                             [&](const WorkerInfo& other) { return other.id == worker.id; });
    if (same == all.end()) {
      all.push_back(std::move(worker));
    } else if (same->seen_at < worker.seen_at) {
      *same = std::move(worker);
    }
  }
  return all;
}

Result<> FailoverQueue::Maintain(const Retention& retention) {
  TRY(options_.local->Maintain(retention));
  if (state_ == State::kLocal) return Ok{};
  return TRY(Shared())->Maintain(retention);
}

Result<> FailoverQueue::RaiseEpoch(uint64_t epoch) {
  TRY(options_.local->RaiseEpoch(epoch));
  if (state_ == State::kLocal) return Ok{};
  return TRY(Shared())->RaiseEpoch(epoch);
}

Result<std::string> FailoverQueue::StateId() { return TRY(Current())->StateId(); }

}  // namespace msearch::queue
