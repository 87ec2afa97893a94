// Who waits costs no thread: one thread looks at what is watched, at once when something ended (the
// completion of a request's last task is followed by a task that the controller handles), else a
// few times a second for what reports progress.
//
// The queue knows how a task stands, the journal that it was accepted. Where they differ the queue
// is right while it knows the task; when it doesn't, an open entry's tasks were lost and are made
// again, and an ended one's result is the journal's copy.
#include "answer/desk.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "queue/worker.h"

namespace msearch::answer {
namespace {

using queue::Status;
using Steady = std::chrono::steady_clock;

constexpr Milliseconds kProgressEvery{150};
constexpr Milliseconds kEndsEvery{2000};
constexpr Milliseconds kSweepEvery{1000};
constexpr Milliseconds kForgetEvery{10000};
constexpr Milliseconds kOutlookAge{250};
constexpr size_t kSweptAtOnce = 200;
// A request whose journal entry is not written yet may have ended already.
constexpr int64_t kUnknownEndMs = 60000;

bool IsEnded(const queue::Task& task) {
  return task.status != Status::kQueued && task.status != Status::kStarted;
}

// Which role takes from which queue.
std::string_view RoleOf(const std::string& queue) {
  return queue == kAnalysisQueue ? "analysis_worker" : "answer_worker";
}

std::string_view StateName(EntryState state) {
  switch (state) {
    case EntryState::kOpen:
      return "queued";
    case EntryState::kFinished:
      return "finished";
    case EntryState::kFailed:
      return "failed";
    case EntryState::kCancelled:
      return "cancelled";
  }
  return "failed";
}

bool IsUploadId(const std::string& id) {
  return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

// What is needed to tell places and times, as it was at `seen_at`.
struct Desk::Outlook {
  SteadyTime seen_at{};
  bool paused = false;
  int workers = 0;
  double mean_ms = 0;               // 0: not known yet
  std::vector<double> busy_for_ms;  // of the tasks under way
  int64_t ahead = 0;                // of the newest task
};

struct Desk::Kept {
  Outlook outlook;
  SteadyTime counted_at{};
  int64_t ahead = 0;     // of the newest task, counted then and on since
  bool looking = false;  // somebody is
  Outlook With(int64_t count) const {
    Outlook out = outlook;
    out.ahead = count;
    return out;
  }
};

Desk::Desk(std::shared_ptr<queue::TaskQueue> queue, DeskOptions options,
           std::unique_ptr<Journal> journal)
    : queue_(std::move(queue)), options_(std::move(options)), journal_(std::move(journal)) {}

Desk::~Desk() { Stop(); }

Result<std::unique_ptr<Desk>> Desk::Open(std::shared_ptr<queue::TaskQueue> queue,
                                         DeskOptions options) {
  auto journal = TRY(Journal::Open(options.journal_path));
  std::error_code error;
  std::filesystem::create_directories(options.upload_directory, error);
  if (error) {
    return Error{Code::kUnavailable, options.upload_directory + ": " + error.message()};
  }
  std::unique_ptr<Desk> desk(new Desk(std::move(queue), std::move(options), std::move(journal)));
  desk->open_ = TRY(desk->journal_->CountOpen());
  TRY(desk->RemoveStrayUploads());
  Desk* self = desk.get();
  desk->threads_.emplace_back([self](std::stop_token stop) { self->HandleEnds(stop); });
  desk->threads_.emplace_back([self](std::stop_token stop) { self->Sweep(stop); });
  desk->threads_.emplace_back([self](std::stop_token stop) { self->Tell(stop); });
  return desk;
}

void Desk::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void Desk::Poke(const std::string& ended) {
  {
    const std::lock_guard lock(watch_mutex_);
    ended_.insert(ended);
  }
  poked_.notify_all();
}

Result<Desk::Accepted> Desk::Accept(const Request& request, const std::string& key,
                                    const std::string& digest) {
  auto existing = [&]() -> Result<std::optional<Accepted>> {
    if (key.empty()) return std::optional<Accepted>();
    auto entry = TRY(journal_->FindByKey(key));
    if (!entry) return std::optional<Accepted>();
    if (entry->digest != digest) {
      return Error{Code::kConflict, "Idempotency-Key: was used for another request"};
    }
    return std::optional(Accepted{TRY(StandingOf(std::move(*entry), true)), true});
  };
  if (auto before = TRY(existing())) return std::move(*before);
  if (open_ >= options_.open_max) {
    return Error{Code::kExhausted, "async: " + std::to_string(options_.open_max) +
                                       " requests are waiting; try again later"};
  }
  Entry entry;
  entry.tasks = TRY(EnqueueTasks(*queue_, request));
  entry.id = entry.tasks.back();
  entry.key = key;
  entry.digest = digest;
  entry.kind = request.kind;
  entry.request = request.ToJson();
  const Result<> added = journal_->Add(entry);
  if (!added.ok()) {
    // Somebody was quicker with the same key, or the disk is full: nothing was accepted.
    for (const queue::TaskId& task : entry.tasks) (void)queue_->Cancel(task);
    if (added.code() != Code::kConflict) return added.error();
    if (auto before = TRY(existing())) return std::move(*before);
    return added.error();
  }
  ++open_;
  Accepted accepted;
  accepted.standing.id = entry.id;
  accepted.standing.kind = entry.kind;
  accepted.standing.status = "queued";
  accepted.standing.accepted_at = SystemClock().NowMs();
  accepted.standing.tasks = entry.tasks;
  const std::string_view first =
      request.kind == kAnalyze || (request.kind == kFullQuery && !request.image.is_null())
          ? kAnalysisQueue
          : kAnswerQueue;
  queue::Task task;
  task.id = entry.tasks.front();
  task.queue = first;
  task.status = Status::kQueued;
  AddPlace({task}, false, &accepted.standing);
  return accepted;
}

Result<Desk::Outlook> Desk::OutlookOf(const std::string& name) {
  Outlook outlook;
  outlook.seen_at = Steady::now();
  for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
    if (stats.name != name) continue;
    outlook.paused = stats.paused;
    outlook.mean_ms = stats.mean_ms;
  }
  for (const queue::WorkerInfo& worker : TRY(queue_->Workers())) {
    if (worker.role == RoleOf(name) && worker.state != "stopping") ++outlook.workers;
  }
  queue::TaskFilter started;
  started.queue = name;
  started.status = Status::kStarted;
  const UnixMs now = SystemClock().NowMs();
  for (const queue::Task& task : TRY(queue_->List(started))) {
    outlook.busy_for_ms.push_back(static_cast<double>(now - task.started_at.value_or(now)));
  }
  return outlook;
}

// The outlook of a queue as of a moment ago. One caller looks anew; the others go on with what is
// known meanwhile, since looking at a long queue takes longer than anybody who submits should wait.
Result<Desk::Outlook> Desk::LookAt(const std::string& queue, const queue::TaskId* newest) {
  std::unique_lock lock(outlook_mutex_);
  Kept& kept = outlooks_[queue];
  const SteadyTime now = Steady::now();
  const bool old = now - kept.outlook.seen_at > kOutlookAge;
  const bool uncounted = newest != nullptr && now - kept.counted_at > kOutlookAge;
  if ((old || uncounted) && !kept.looking) {
    kept.looking = true;
    lock.unlock();
    auto outlook = old ? OutlookOf(queue) : Result<Outlook>(kept.outlook);
    auto ahead = uncounted ? queue_->CountAhead(*newest) : Result<int64_t>(0);
    lock.lock();
    kept.looking = false;
    if (!outlook.ok()) return outlook.error();
    if (!ahead.ok()) return ahead.error();
    kept.outlook = std::move(*outlook);
    if (uncounted) {
      kept.counted_at = Steady::now();
      kept.ahead = *ahead;
      return kept.With(kept.ahead);
    }
  }
  if (kept.outlook.seen_at == SteadyTime{}) {
    return Error{Code::kUnavailable, "queue " + queue + ": not seen yet"};
  }
  if (newest != nullptr) ++kept.ahead;
  return kept.With(kept.ahead);
}

// With equal tasks of mean length m and k workers, each free when its present task ends, the n-th
// task to come is started by worker n modulo k, n/k rounds later.
void Desk::AddPlace(const std::vector<queue::Task>& tasks, bool exact, Standing* standing) {
  const auto found = std::find_if(tasks.begin(), tasks.end(),
                                  [](const queue::Task& task) { return !IsEnded(task); });
  if (found == tasks.end()) return;
  const auto outlook = LookAt(found->queue, exact ? nullptr : &found->id);
  if (!outlook.ok()) return;
  int64_t ahead = 0;
  if (found->status == Status::kQueued) {
    ahead = outlook->ahead;
    if (exact) {
      auto counted = queue_->CountAhead(found->id);
      if (!counted.ok()) return;
      ahead = *counted;
    }
    standing->position = ahead + 1;
  }
  if (outlook->paused || found->reason == "paused") {
    standing->reason = "paused";
    return;
  }
  if (outlook->workers == 0) {
    standing->reason = "no worker";
    return;
  }
  if (outlook->mean_ms <= 0) return;
  std::vector<double> free_in(static_cast<size_t>(outlook->workers), 0);
  for (size_t i = 0; i < outlook->busy_for_ms.size() && i < free_in.size(); ++i) {
    free_in[i] = std::max(0.0, outlook->mean_ms - outlook->busy_for_ms[i]);
  }
  std::sort(free_in.begin(), free_in.end());
  double ms = outlook->mean_ms;
  if (found->status == Status::kQueued) {
    const auto workers = static_cast<int64_t>(free_in.size());
    ms += free_in[static_cast<size_t>(ahead % workers)] +
          static_cast<double>(ahead / workers) * outlook->mean_ms;
  } else if (found->started_at) {
    const auto since = static_cast<double>(SystemClock().NowMs() - *found->started_at);
    ms = std::max(0.0, outlook->mean_ms - since);
  }
  standing->eta_s = ms / 1000;
}

Result<> Desk::Resubmit(Entry* entry) {
  // Several may notice the loss at once.
  const std::lock_guard lock(resubmit_mutex_);
  auto now = TRY(journal_->Find(entry->id));
  if (now && now->tasks != entry->tasks) {
    *entry = std::move(*now);
    return Ok{};
  }
  const Request request = TRY(Request::FromJson(entry->request));
  LOG_WARNING("task {}: the queue lost it; it is queued again", entry->id);
  entry->tasks = TRY(EnqueueTasks(*queue_, request));
  return journal_->SetTasks(entry->id, entry->tasks);
}

Result<Standing> Desk::StandingOf(Entry entry, bool with_place) {
  Standing standing;
  standing.id = entry.id;
  standing.kind = entry.kind;
  standing.accepted_at = entry.accepted_at;
  standing.status = StateName(entry.state);
  standing.finished_at = entry.ended_at;
  standing.error = entry.error;
  standing.tasks = entry.tasks;
  const UnixMs now = SystemClock().NowMs();
  standing.gone =
      entry.forgotten || (entry.ended_at && *entry.ended_at + options_.result_age.count() <= now);
  if (standing.gone) return standing;
  auto last = queue_->Get(entry.tasks.back());
  if (!last.ok() && last.code() != Code::kNotFound) {
    if (entry.state == EntryState::kOpen) return last.error();
    standing.result = entry.result;
    standing.progress = 1;
    return standing;
  }
  if (!last.ok() && entry.state == EntryState::kOpen) {
    TRY(Resubmit(&entry));
    standing.tasks = entry.tasks;
    last = TRY(queue_->Get(entry.tasks.back()));
  }
  const bool again = last.ok() && entry.state == EntryState::kFailed && !IsEnded(*last);
  if (!last.ok() || (entry.state != EntryState::kOpen && !again)) {
    standing.result = entry.result;
    standing.progress = entry.state == EntryState::kFinished ? 1 : 0;
    if (last.ok()) {
      standing.started_at = last->started_at;
      standing.attempts = last->attempts;
    }
    return standing;
  }
  std::vector<queue::Task> tasks;
  for (size_t i = 0; i + 1 < entry.tasks.size(); ++i) {
    auto part = queue_->Get(entry.tasks[i]);
    if (part.ok()) tasks.push_back(std::move(*part));
  }
  tasks.push_back(std::move(*last));
  const queue::Task& root = tasks.back();
  standing.status = queue::StatusName(root.status);
  standing.finished_at = root.finished_at;
  standing.error = root.status == Status::kFailed ? root.error : std::nullopt;
  standing.attempts = root.attempts;
  if (root.result) standing.result = *root.result;
  if (IsEnded(root)) {
    standing.started_at = tasks.front().started_at;
    standing.reason = root.reason;
    standing.progress = root.status == Status::kFinished ? 1 : 0;
    TRY(EndAs(entry, root));
    return standing;
  }
  double sum = 0;
  for (const queue::Task& task : tasks) {
    sum += task.status == Status::kFinished ? 1 : task.progress.fraction;
    if (task.started_at && !standing.started_at) standing.started_at = task.started_at;
    if (task.status != Status::kQueued) standing.status = "started";
    if (task.status == Status::kStarted) {
      standing.stage = task.progress.stage;
      if (task.progress.stage == "writing") {
        standing.partial = task.progress.message;
      } else {
        standing.message = task.progress.message;
      }
    }
    if (task.status == Status::kQueued && task.reason == "delayed") standing.reason = "delayed";
  }
  standing.progress = sum / static_cast<double>(tasks.size());
  if (with_place) AddPlace(tasks, true, &standing);
  return standing;
}

Result<Standing> Desk::Get(const std::string& id) {
  auto entry = TRY(journal_->Find(id));
  if (!entry) return Error{Code::kNotFound, "task " + id + ": not known"};
  return StandingOf(std::move(*entry), true);
}

Result<Standing> Desk::Cancel(const std::string& id) {
  auto entry = TRY(journal_->Find(id));
  if (!entry) return Error{Code::kNotFound, "task " + id + ": not known"};
  const Standing now = TRY(StandingOf(*entry, false));
  if (now.ended()) return Error{Code::kConflict, "task " + id + ": has ended (" + now.status + ")"};
  // From the last to the first, so that nothing starts meanwhile.
  for (auto task = now.tasks.rbegin(); task != now.tasks.rend(); ++task) {
    const Result<> done = queue_->Cancel(*task);
    const bool over =
        !done.ok() && (done.code() == Code::kConflict || done.code() == Code::kNotFound);
    if (!done.ok() && !over) return done.error();
  }
  if (TRY(journal_->End(id, EntryState::kCancelled, {}, {}))) Ended(*entry);
  return StandingOf(TRY(journal_->Find(id)).value_or(*entry), false);
}

Result<> Desk::EndAs(const Entry& entry, const queue::Task& task) {
  const EntryState state = task.status == Status::kFinished    ? EntryState::kFinished
                           : task.status == Status::kCancelled ? EntryState::kCancelled
                                                               : EntryState::kFailed;
  const Json result = task.result.value_or(Json());
  if (TRY(journal_->End(entry.id, state, result, task.error))) Ended(entry);
  return Ok{};
}

void Desk::Ended(const Entry& entry) {
  --open_;
  const Json image = entry.request.value("image", Json());
  if (auto upload = GetString(image, "upload")) DropUpload(*upload);
  Poke(entry.id);
}

void Desk::HandleEnds(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "desk-ends");
  queue::WorkerOptions worker;
  worker.info.id = options_.worker_id + ":desk";
  worker.info.role = "desk";
  worker.info.host = options_.host;
  worker.info.pid = getpid();
  worker.info.started_at = SystemClock().NowMs();
  worker.queues = {std::string(kEndedQueue)};
  worker.batch_max = 64;
  worker.lease_duration = options_.lease_duration;
  const queue::BatchHandler handle =
      [this](std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
        std::vector<queue::Outcome> outcomes;
        for (const auto& context : tasks) {
          queue::Outcome& outcome = outcomes.emplace_back();
          const Json& payload = context->lease().task.payload;
          const std::string id =
              GetString(payload, "task").value_or(GetString(payload, "task_id").value_or(""));
          outcome.status = [&]() -> Result<> {
            const auto entry = TRY(journal_->FindByTask(id));
            if (!entry) {
              const UnixMs age = SystemClock().NowMs() - context->lease().task.created_at;
              outcome.release = age < kUnknownEndMs;
              outcome.delay = Milliseconds(200 + age);
              return Ok{};
            }
            const auto task = queue_->Get(id);
            if (task.ok() && IsEnded(*task)) return EndAs(*entry, *task);
            if (!task.ok() && task.code() != Code::kNotFound) return task.error();
            return Ok{};  // tried again since, or lost: the sweep sees to it
          }();
        }
        return outcomes;
      };
  worker.handlers[std::string(kEnded)] = handle;
  worker.handlers[std::string(kFailed)] = handle;
  queue::RunWorker(*queue_, worker, std::move(stop), Milliseconds(2000));
}

// Looks at all open entries in turn: some may have lost their tasks, or have been ended by
// somebody else.
Result<> Desk::SweepStep(std::string* cursor) {
  const auto entries = TRY(journal_->OpenEntries(*cursor, kSweptAtOnce));
  const UnixMs now = SystemClock().NowMs();
  for (const Entry& entry : entries) {
    *cursor = entry.id;
    if (now - entry.accepted_at < 2000) continue;
    auto task = queue_->Get(entry.tasks.back());
    if (!task.ok() && task.code() != Code::kNotFound) return task.error();
    if (!task.ok()) {
      Entry copy = entry;
      TRY(Resubmit(&copy));
    } else if (IsEnded(*task)) {
      TRY(EndAs(entry, *task));
    }
  }
  if (entries.size() < kSweptAtOnce) cursor->clear();
  return Ok{};
}

void Desk::Sweep(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "desk-sweep");
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  std::string cursor;
  SteadyTime forget_at{};
  while (!stop.stop_requested()) {
    Result<> done = open_ > 0 ? SweepStep(&cursor) : Result<>(Ok{});
    if (done.ok() && Steady::now() >= forget_at) {
      done = journal_->Forget(options_.result_age, options_.entry_age);
      forget_at = Steady::now() + kForgetEvery;
    }
    if (!done.ok()) LOG_WARNING("journal: {}", done.message());
    changed.wait_for(lock, stop, kSweepEvery, [] { return false; });
  }
}

void Desk::Watch(const std::string& id, SteadyTime end, bool ends_only,
                 std::function<bool(const Result<Standing>&, bool)> tell) {
  {
    const std::lock_guard lock(watch_mutex_);
    watchers_.push_back({id, end, ends_only, std::move(tell), "", true});
  }
  poked_.notify_all();
}

void Desk::Tell(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "desk-tell");
  std::vector<Watcher> watchers;
  SteadyTime ends_at{};
  while (true) {
    std::set<std::string> ended;
    {
      std::unique_lock lock(watch_mutex_);
      SteadyTime until = Steady::now() + kEndsEvery;
      for (const Watcher& watcher : watchers) {
        until = std::min(until, watcher.end);
        if (!watcher.ends_only) until = std::min(until, Steady::now() + kProgressEvery);
      }
      auto ready = [&] { return !ended_.empty() || !watchers_.empty(); };
      if (watchers.empty()) {
        poked_.wait(lock, stop, ready);
      } else {
        poked_.wait_until(lock, stop, until, ready);
      }
      ended.swap(ended_);
      for (Watcher& watcher : watchers_) watchers.push_back(std::move(watcher));
      watchers_.clear();
    }
    const bool stopping = stop.stop_requested();
    const SteadyTime now = Steady::now();
    const bool look_all = now >= ends_at;
    if (look_all) ends_at = now + kEndsEvery;
    // Several may watch one request.
    std::map<std::string, Result<Standing>> seen;
    std::erase_if(watchers, [&](Watcher& watcher) {
      const bool over = stopping || now >= watcher.end;
      const bool look =
          look_all || watcher.fresh || !watcher.ends_only || ended.contains(watcher.id);
      if (!over && !look) return false;
      auto known = seen.find(watcher.id);
      if (known == seen.end()) known = seen.emplace(watcher.id, Get(watcher.id)).first;
      const Result<Standing>& standing = known->second;
      const bool last = over || !standing.ok() || standing->ended() || standing->gone;
      std::string state;
      if (standing.ok()) {
        state = standing->status + '\n' + standing->reason + '\n' + standing->stage + '\n' +
                standing->message + '\n' + standing->partial + '\n' +
                std::to_string(standing->position.value_or(0)) + '\n' +
                std::to_string(standing->progress);
      }
      const bool news = !watcher.ends_only && (watcher.fresh || state != watcher.told);
      watcher.fresh = false;
      watcher.told = std::move(state);
      if (!last && !news) return false;
      return !watcher.tell(standing, last) || last;
    });
    if (stopping) return;
  }
}

std::string Desk::UploadPath(const std::string& id) const {
  return options_.upload_directory + "/" + id;
}

Result<std::string> Desk::Reserve(uint64_t bytes) {
  if (upload_bytes_.fetch_add(bytes) + bytes > options_.upload_bytes_max) {
    upload_bytes_ -= bytes;
    return Error{Code::kExhausted, "uploads: more than " +
                                       std::to_string(options_.upload_bytes_max) +
                                       " bytes are waiting; try again later"};
  }
  return HexEncode(RandomBytes(16));
}

Result<std::string> Desk::KeepUpload(std::string_view bytes) {
  const std::string id = TRY(Reserve(bytes.size()));
  const Result<> written = WriteFileAtomically(UploadPath(id), bytes);
  if (written.ok()) return id;
  upload_bytes_ -= bytes.size();
  return written.error();
}

Result<std::string> Desk::KeepUploadedFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoError(path, errno);
  const auto bytes = static_cast<uint64_t>(info.st_size);
  const std::string id = TRY(Reserve(bytes));
  std::error_code error;
  std::filesystem::copy_file(path, UploadPath(id), error);
  if (!error) return id;
  upload_bytes_ -= bytes;
  return Error{ErrnoError("", error.value()).code, "upload: " + error.message()};
}

Result<Fd> Desk::OpenUpload(const std::string& id) const {
  if (!IsUploadId(id)) return Error{Code::kNotFound, "upload " + id + ": not known"};
  auto file = OpenFile(UploadPath(id), O_RDONLY);
  if (!file.ok()) return Error{Code::kNotFound, "upload " + id + ": not there any more"};
  return file;
}

void Desk::DropUpload(const std::string& id) {
  if (!IsUploadId(id)) return;
  struct stat info {};
  if (stat(UploadPath(id).c_str(), &info) != 0) return;
  if (unlink(UploadPath(id).c_str()) == 0) upload_bytes_ -= static_cast<uint64_t>(info.st_size);
}

// What no open entry names was left by a process that died.
Result<> Desk::RemoveStrayUploads() {
  std::set<std::string> named;
  std::string cursor;
  while (true) {
    const auto entries = TRY(journal_->OpenEntries(cursor, 1000));
    for (const Entry& entry : entries) {
      cursor = entry.id;
      if (auto id = GetString(entry.request.value("image", Json()), "upload")) named.insert(*id);
    }
    if (entries.size() < 1000) break;
  }
  std::error_code error;
  uint64_t kept = 0;
  for (const auto& file : std::filesystem::directory_iterator(options_.upload_directory, error)) {
    std::error_code ignored;
    if (named.contains(file.path().filename().string())) {
      kept += file.file_size(ignored);
    } else {
      std::filesystem::remove(file.path(), ignored);
    }
  }
  upload_bytes_ = kept;
  return Ok{};
}

std::map<std::string, Desk::Load> Desk::Loads() {
  std::map<std::string, Load> loads;
  const auto stats = queue_->Stats();
  const auto workers = queue_->Workers();
  if (!stats.ok() || !workers.ok()) return loads;
  for (const queue::QueueStats& one : *stats) {
    if (one.name != kAnalysisQueue && one.name != kAnswerQueue && one.name != kQueryQueue) continue;
    Load& load = loads[one.name];
    load.busy = one.started;
    for (const queue::WorkerInfo& worker : *workers) {
      if (worker.role == RoleOf(one.name)) ++load.workers;
    }
  }
  return loads;
}

}  // namespace msearch::answer
