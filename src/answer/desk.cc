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
constexpr size_t kSweptAtOnce = 200;
// A request whose journal entry is not written yet may have ended already.
constexpr int64_t kUnknownEndMs = 60000;

bool IsEnded(const queue::Task& task) {
  return task.status != Status::kQueued && task.status != Status::kStarted;
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

Desk::Desk(std::shared_ptr<queue::TaskQueue> queue, DeskOptions options,
           std::unique_ptr<Journal> journal)
    : queue_(std::move(queue)),
      options_(std::move(options)),
      journal_(std::move(journal)),
      lookout_(queue_, options_.usual_ms) {}

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
  lookout_.Stop();
}

void Desk::Poke(const std::string& ended) {
  {
    const std::lock_guard lock(watch_mutex_);
    ended_.insert(ended);
  }
  poked_.notify_all();
}

std::string Desk::AnalysisQueue(const Request& request) const {
  const bool chosen = options_.analysis_queue && !request.image.is_null();
  return chosen ? options_.analysis_queue(request) : std::string(kAnalysisQueue);
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
  const std::string analysis_queue = AnalysisQueue(request);
  entry.tasks = TRY(EnqueueTasks(*queue_, request, analysis_queue));
  entry.id = entry.tasks.back();
  entry.key = key;
  entry.digest = digest;
  entry.kind = request.kind;
  entry.request = request.ToJson();
  entry.accepted_at = SystemClock().NowMs();
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
  accepted.standing.accepted_at = entry.accepted_at;
  accepted.standing.tasks = entry.tasks;
  std::vector<queue::Task> tasks;
  for (const queue::NewTask& part : TasksOf(request, analysis_queue)) {
    queue::Task& task = tasks.emplace_back();
    task.id = entry.tasks[tasks.size() - 1];
    task.queue = part.queue;
    task.priority = part.priority;
  }
  AddPlace(tasks, true, &accepted.standing);
  return accepted;
}

// A flow ends when its last part does; a part starts when those before it have ended and those
// ahead of it in its own queue, whatever comes later.
void Desk::AddPlace(const std::vector<queue::Task>& tasks, bool fresh, Standing* standing) {
  double ends_in_ms = 0;
  bool first = true;
  bool measured = true;
  for (const queue::Task& task : tasks) {
    if (IsEnded(task)) continue;
    const auto outlook = lookout_.At(task.queue, fresh);
    if (!outlook.ok()) return;
    double here_ms = outlook->mean_ms;
    if (task.status == Status::kStarted) {
      const UnixMs now = SystemClock().NowMs();
      here_ms -= static_cast<double>(now - task.started_at.value_or(now));
      here_ms = std::max(here_ms, 0.0);
    } else {
      const auto ahead = fresh ? lookout_.AheadOf(task) : queue_->CountAhead(task.id);
      if (!ahead.ok()) return;
      if (first) standing->position = *ahead + 1;
      // A task says for itself that its queue is paused, but not while it waits for another.
      const bool told = !fresh && task.reason != "waiting";
      if (task.reason == "paused" || (!told && outlook->paused)) {
        standing->reason = "paused";
        return;
      }
      if (outlook->workers == 0) {
        standing->reason = "no worker";
        return;
      }
      double may_start_ms = ends_in_ms;
      if (task.reason == "delayed") {
        const auto delay = static_cast<double>(task.available_at - SystemClock().NowMs());
        may_start_ms = std::max(may_start_ms, delay);
      }
      here_ms = std::max(EndsIn(*outlook, *ahead), may_start_ms + outlook->mean_ms);
    }
    ends_in_ms = here_ms;
    measured &= outlook->measured;
    first = false;
  }
  if (first) return;
  standing->eta_s = ends_in_ms / 1000;
  standing->eta_measured = measured;
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
  entry->tasks = TRY(EnqueueTasks(*queue_, request, AnalysisQueue(request)));
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
  if (with_place) AddPlace(tasks, false, &standing);
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
  Standing now = TRY(StandingOf(*entry, false));
  if (now.gone) return now;
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
  worker.handlers[std::string(kEndedKind)] = handle;
  worker.handlers[std::string(kFailedKind)] = handle;
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
    if (done.ok()) done = journal_->Settle();
    if (!done.ok()) LOG_WARNING("journal: {}", done.message());
    changed.wait_for(lock, stop, kSweepEvery, [] { return false; });
  }
}

void Desk::Watch(const std::string& id, SteadyTime end, bool ends_only,
                 std::function<bool(const Result<Standing>&, bool)> tell) {
  {
    const std::lock_guard lock(watch_mutex_);
    watchers_.push_back({id, end, ends_only, std::move(tell), "", {}, true});
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
      const bool quiet = now - watcher.told_at >= options_.keep_alive;
      const bool news = !watcher.ends_only && (watcher.fresh || quiet || state != watcher.told);
      if (news) watcher.told_at = now;
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
    const bool analyses = IsOfAnalyses(one.name);
    if (!analyses && one.name != kAnswerQueue && one.name != kQueryQueue) continue;
    // The same workers take from all queues of analyses.
    Load& load = loads[analyses ? std::string(kAnalysisQueue) : one.name];
    load.busy += one.started;
    load.workers = 0;
    for (const queue::WorkerInfo& worker : *workers) {
      if (worker.role == RoleOf(one.name)) ++load.workers;
    }
  }
  return loads;
}

}  // namespace msearch::answer
