// The thread sleeps until there is work: a scan (asked for, due, or needed because notices were
// lost), notices that were gathered long enough, files that have settled. Every scan or batch of
// notices is a round that opens the root anew and closes it afterwards; so an unreachable root is
// found out before anything is compared with it, and nothing keeps a disk from being unmounted.
//
// Whatever goes wrong in a round, the answer is the same: forget what was gathered and scan again.
// The snapshot holds exactly what was reported, so nothing is lost by that.
#include "watch/root_watcher.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/strings.h"

namespace msearch::watch {
namespace {

using std::chrono::steady_clock;

constexpr size_t kDirtyMax = 50'000;  // paths; more are found faster by a scan
constexpr std::chrono::seconds kAbandonAfter{2};
constexpr int kHangsAfter = 6;  // rechecks without an answer

bool BelowOneOf(const std::set<std::string>& directories, const std::string& path) {
  for (std::string_view at = path; !at.empty(); at = DirectoryOf(at)) {
    if (directories.contains(std::string(at))) return true;
  }
  return directories.contains("");
}

}  // namespace

RootWatcher::RootWatcher(const StoredRoot& root, const MonitorOptions& options,
                         std::unique_ptr<Snapshot> snapshot, Reporter* reporter)
    : root_(root.id),
      options_(options),
      own_folder_(options.own_folder),
      file_system_(options.file_system != nullptr ? *options.file_system : RealFileSystem()),
      snapshot_(std::move(snapshot)),
      outbox_(reporter, snapshot_.get(), root.id, root.files,
              [this](Milliseconds pause) { return PauseBetweenAttempts(pause); }),
      spec_(root.spec),
      settling_(options.settle) {
  status_.name = root.spec.name;
  status_.last_scan_at = root.last_scan_at;
  status_.last_scan_ms = root.last_scan_ms;
}

void RootWatcher::Start() {
  thread_ = std::thread([self = shared_from_this()] {
    pthread_setname_np(pthread_self(), ("watch " + self->spec().name).substr(0, 15).c_str());
    self->Run();
  });
}

void RootWatcher::RequestStop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    interrupted_ = true;
  }
  wake_.Notify();
  ended_changed_.notify_all();
}

void RootWatcher::Stop() {
  RequestStop();
  outbox_.Close();
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) return;
  if (ended_changed_.wait_for(lock, kAbandonAfter, [this] { return finished_; })) {
    lock.unlock();
    thread_.join();
    return;
  }
  LOG_WARNING("root {}: {} does not answer; its thread is left behind", spec_.name, spec_.path);
  thread_.detach();
}

RootSpec RootWatcher::spec() const {
  const std::lock_guard lock(mutex_);
  return spec_;
}

void RootWatcher::Redefine(const RootSpec& spec) {
  {
    const std::lock_guard lock(mutex_);
    spec_ = spec;
    redefined_ = true;
    interrupted_ = true;
    ++scans_requested_;
  }
  wake_.Notify();
}

Result<RootStatus> RootWatcher::Scan(bool full, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (spec_.paused) return Error{Code::kConflict, spec_.name + ": is paused"};
  const uint64_t mine = ++scans_requested_;
  full_requested_ = full_requested_ || full;
  wake_.Notify();
  ended_changed_.wait(lock, stop, [&] { return scans_ended_ >= mine || stopping_; });
  if (scans_ended_ < mine) return Error{Code::kCancelled, spec_.name + ": scan not waited for"};
  lock.unlock();
  return Status();
}

RootStatus RootWatcher::Status() const {
  const std::lock_guard lock(mutex_);
  RootStatus status = status_;
  status.files = outbox_.files();
  const SteadyTime::rep asked_at = asked_at_;
  if (asked_at != 0 && !outbox_.busy()) {
    const auto silence = steady_clock::now().time_since_epoch() - SteadyTime::duration(asked_at);
    if (silence > options_.recheck * kHangsAfter) {
      status.state = RootState::kUnreachable;
      status.reason = spec_.path + ": no answer since " +
                      std::to_string(std::chrono::floor<std::chrono::seconds>(silence).count()) +
                      " s";
    }
  }
  return status;
}

void RootWatcher::Run() {
  bool stop = false;
  while (!stop) {
    switch (NextWork()) {
      case Work::kStop:
        stop = true;
        break;
      case Work::kRest:
        Rest();
        WaitForWork();
        break;
      case Work::kScan:
        FullScan();
        break;
      case Work::kChanges:
        HandleChanges();
        WaitForWork();
        break;
    }
  }
  notifier_.reset();
  const std::lock_guard lock(mutex_);
  finished_ = true;
  ended_changed_.notify_all();
}

RootWatcher::Work RootWatcher::NextWork() {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Work::kStop;
  interrupted_ = false;
  if (std::exchange(redefined_, false)) CarryOut(spec_);
  if (now_.paused) return Work::kRest;
  if (scans_requested_ > scans_ended_ || steady_clock::now() >= next_scan_) return Work::kScan;
  return Work::kChanges;
}

void RootWatcher::CarryOut(const RootSpec& spec) {
  if (!now_.path.empty() && now_.path != spec.path) {
    // Another place: whether something was mounted at the old one says nothing about it.
    const auto row = snapshot_->FindDirectory(root_, 0, "");
    if (row.ok() && *row) (void)snapshot_->UpdateDirectory((*row)->id, (*row)->device, false);
  }
  now_ = spec;
  filter_.emplace(spec);
  outbox_.SetSpec(spec);
  notifier_.reset();  // directories that are excluded now aren't watched any more
  watching_failed_ = false;
  settling_.Clear();
  dirty_.clear();
  dirty_due_.reset();
  next_scan_ = steady_clock::now();
}

void RootWatcher::Rest() {
  const std::lock_guard lock(mutex_);
  status_.state = RootState::kPaused;
  status_.reason.clear();
  status_.watch.clear();
  scans_ended_ = scans_requested_;
  full_requested_ = false;
  ended_changed_.notify_all();
}

void RootWatcher::FullScan() {
  uint64_t request = 0;
  bool asked = false;
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    request = scans_requested_;
    asked = request > scans_ended_;
    full = std::exchange(full_requested_, false);
    status_.scan_files_seen = 0;
  }
  ReadNotices();
  dirty_.clear();  // the scan sees for itself
  dirty_due_.reset();
  const bool was_lost = root_lost_;
  const SteadyTime began = steady_clock::now();
  ScanCounts counts;
  const Result<> done = ScanAll(full, &counts);
  NoteLooking(false);
  EndScan(done, counts, began);
  const bool interrupted = !done.ok() && done.code() == Code::kCancelled;
  bool told = true;
  // Looking again whether a root is back isn't worth a report.
  if (asked || done.ok() || interrupted || !was_lost) {
    told = outbox_.EndScan(Status(), done.ok()).ok();
  }
  const std::lock_guard lock(mutex_);
  if (interrupted || !told) {
    full_requested_ = full_requested_ || full;
    return;
  }
  scans_ended_ = request;
  ended_changed_.notify_all();
}

Result<> RootWatcher::ScanAll(bool full, ScanCounts* counts) {
  Round round = TRY(NewRound(full));
  PrepareNotifier(round.tree);
  round.notifier = notifier_.get();
  SetState(RootState::kScanning, "");
  Scanner scanner(round);
  const Result<> done = [&]() -> Result<> {
    TRY(scanner.Walk(""));
    TRY(scanner.Finish());
    return FinishSettling(round, scanner);
  }();
  if (!scanner.watch_error().empty()) PollBecause(scanner.watch_error());
  root_lost_ = scanner.root_lost();
  *counts = round.counts;
  return done;
}

// Files that changed just now belong to the scan as well, if they hold still.
Result<> RootWatcher::FinishSettling(Round& round, Scanner& scanner) {
  const SteadyTime end = steady_clock::now() + options_.settle;
  while (true) {
    const std::optional<SteadyTime> due = settling_.next_due();
    if (!due || *due > end) return scanner.Finish();
    while (steady_clock::now() < *due) {
      TRY(round.Progress());
      NoteLooking(false);
      wake_.Wait(notifier_ != nullptr ? notifier_->fd() : -1, *due);
    }
    for (const Settling::Due& file : settling_.TakeDue(steady_clock::now())) {
      TRY(scanner.LookAgain(file.path, file.info));
    }
  }
}

void RootWatcher::EndScan(const Result<>& done, const ScanCounts& counts, SteadyTime began) {
  last_scan_ended_ = steady_clock::now();
  last_scan_took_ = std::chrono::duration_cast<Milliseconds>(last_scan_ended_ - began);
  if (!done.ok()) {
    Fail(done.error());
    return;
  }
  next_scan_ = last_scan_ended_ + std::chrono::seconds(std::max(1, now_.scan_interval_s));
  if (counts.settling_was_full)
    next_scan_ = std::min(next_scan_, last_scan_ended_ + options_.recheck);
  some_unreadable_ = counts.unreadable > 0;
  std::vector<std::string> reasons;
  if (notifier_ == nullptr) reasons.push_back(polls_because_);
  if (!counts.blind.empty()) reasons.push_back(counts.blind);
  if (some_unreadable_) {
    reasons.push_back("can't read " + std::to_string(counts.unreadable) +
                      (counts.unreadable == 1 ? " directory: " : " directories, first ") +
                      counts.first_unreadable);
  }
  const UnixMs now = SystemClock().NowMs();
  const auto took = static_cast<uint64_t>(last_scan_took_.count());
  Result<> kept = snapshot_->PutScan(root_, now, took);
  if (!kept.ok()) LOG_WARNING("root {}: {}", now_.name, kept.message());
  SetState(notifier_ != nullptr ? RootState::kWatching : RootState::kPolling, Join(reasons, "; "));
  const std::lock_guard lock(mutex_);
  status_.unreadable = counts.unreadable;
  status_.scan_files_seen = counts.files;
  status_.last_scan_at = now;
  status_.last_scan_ms = took;
}

void RootWatcher::HandleChanges() {
  if (root_lost_) return;
  ReadNotices();
  const SteadyTime now = steady_clock::now();
  bool dirty = dirty_due_ && now >= *dirty_due_;
  if (dirty && notifier_ != nullptr && notifier_->rename_half_read()) {
    // The other half comes at once, or never: the file was moved out of the root.
    if (!std::exchange(waited_for_rename_, true)) {
      dirty_due_ = now + options_.coalesce;
      dirty = false;
    } else {
      notifier_->ForgetRenames();
    }
  }
  const std::optional<SteadyTime> settled = settling_.next_due();
  const bool due = settled && now >= *settled;
  if (!dirty && !due) return;
  const Result<> done = LookAtChanges(dirty, due);
  NoteLooking(false);
  if (!done.ok()) Fail(done.error());
}

Result<> RootWatcher::LookAtChanges(bool dirty, bool due) {
  Round round = TRY(NewRound(false));
  round.notifier = notifier_.get();
  Scanner scanner(round);
  const Result<> done = [&]() -> Result<> {
    std::set<std::string> walked;
    std::set<std::string> paths;
    if (dirty) {
      paths = std::exchange(dirty_, {});
      dirty_due_.reset();
      waited_for_rename_ = false;
    }
    for (const std::string& path : paths) {
      if (!BelowOneOf(walked, path) && TRY(scanner.LookAt(path))) walked.insert(path);
    }
    if (due) {
      for (const Settling::Due& file : settling_.TakeDue(steady_clock::now())) {
        TRY(scanner.LookAgain(file.path, file.info));
      }
    }
    return scanner.Finish();
  }();
  root_lost_ = scanner.root_lost();
  if (!scanner.watch_error().empty()) {
    PollBecause(scanner.watch_error());
    if (done.ok()) SetState(RootState::kPolling, polls_because_);
  }
  if (round.counts.settling_was_full) LoseTrack();
  return done;
}

void RootWatcher::ReadNotices() {
  if (notifier_ == nullptr) return;
  for (Notice& notice : notifier_->Read()) {
    if (notice.kind == Notice::Kind::kLost) {
      LoseTrack();
      continue;
    }
    if (notice.kind == Notice::Kind::kAttributes) {
      if (some_unreadable_) LoseTrack();  // it may be readable now
      continue;
    }
    const std::string_view directory = DirectoryOf(notice.path);
    const std::string_view name = NameOf(notice.path);
    const bool counts = notice.directory ? filter_->AcceptsDirectory(directory, name)
                                         : filter_->AcceptsFile(directory, name);
    if (!counts && !filter_->follow_links() && name != kDataFolderMark) continue;
    dirty_.insert(std::move(notice.path));
    if (!dirty_due_) dirty_due_ = steady_clock::now() + options_.coalesce;
  }
  if (dirty_.size() > kDirtyMax) {
    dirty_.clear();
    dirty_due_.reset();
    LoseTrack();
  }
}

// Asks for a scan, but not for one after the other without a break.
void RootWatcher::LoseTrack() {
  const SteadyTime rested = last_scan_ended_ + std::max(options_.coalesce, last_scan_took_);
  next_scan_ = std::min(next_scan_, std::max(steady_clock::now(), rested));
}

Result<Round> RootWatcher::NewRound(bool full) {
  const std::optional<DirectoryRow> row = TRY(snapshot_->FindDirectory(root_, 0, ""));
  const bool was_lost = root_lost_;
  root_lost_ = true;
  NoteLooking(true);
  Tree tree = TRY(Tree::Open(file_system_, now_, row && row->mount));
  root_lost_ = false;
  if (was_lost) watching_failed_ = false;
  const auto progress = [this](const ScanCounts& counts) {
    ShowProgress(counts);
    return !interrupted_;
  };
  return Round{root_,     snapshot_.get(), &outbox_,        &settling_, nullptr,
               &*filter_, &own_folder_,    std::move(tree), full,       progress};
}

void RootWatcher::NoteLooking(bool looking) {
  asked_at_ = looking ? steady_clock::now().time_since_epoch().count() : 0;
}

void RootWatcher::ShowProgress(const ScanCounts& counts) {
  NoteLooking(true);
  ReadNotices();
  const std::lock_guard lock(mutex_);
  if (status_.state == RootState::kScanning) status_.scan_files_seen = counts.files;
}

void RootWatcher::PrepareNotifier(const Tree& tree) {
  const FileSystemKind& kind = tree.kind();
  if (!kind.blind_because.empty()) {
    PollBecause(std::string(kind.name) + ": " + std::string(kind.blind_because));
    return;
  }
  if (notifier_ != nullptr || watching_failed_) return;
  Result<std::unique_ptr<Notifier>> opened = Notifier::Open(file_system_);
  if (opened.ok()) {
    notifier_ = std::move(*opened);
  } else {
    PollBecause(opened.message());
  }
}

// Gives all watches back: half a root watched would be no use, and others need them.
void RootWatcher::PollBecause(std::string reason) {
  if (polls_because_ != reason) LOG_INFO("root {}: polled, because of {}", now_.name, reason);
  notifier_.reset();
  watching_failed_ = true;
  polls_because_ = std::move(reason);
}

void RootWatcher::Fail(const Error& error) {
  outbox_.Drop();
  if (error.code == Code::kCancelled) return;  // redefined or stopping: somebody knows already
  next_scan_ = steady_clock::now() + options_.recheck;
  LOG_WARNING("root {}: {}", now_.name, error.message);
  if (root_lost_) {
    notifier_.reset();
    settling_.Clear();
    dirty_.clear();
    dirty_due_.reset();
    SetState(RootState::kUnreachable, error.message);
  } else {
    SetState(notifier_ != nullptr ? RootState::kWatching : RootState::kPolling, error.message);
  }
}

void RootWatcher::SetState(RootState state, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  status_.state = state;
  status_.reason = reason;
  status_.watch = notifier_ != nullptr ? "inotify" : "polling";
}

void RootWatcher::WaitForWork() {
  if (now_.paused) {
    wake_.Wait(-1, std::nullopt);
    return;
  }
  SteadyTime deadline = next_scan_;
  int fd = -1;
  if (!root_lost_) {
    if (dirty_due_) deadline = std::min(deadline, *dirty_due_);
    if (const auto due = settling_.next_due()) deadline = std::min(deadline, *due);
    if (notifier_ != nullptr) fd = notifier_->fd();
  }
  wake_.Wait(fd, deadline);
}

bool RootWatcher::PauseBetweenAttempts(Milliseconds pause) {
  const SteadyTime end = steady_clock::now() + pause;
  while (!interrupted_ && steady_clock::now() < end) wake_.Wait(-1, end);
  return !interrupted_;
}

}  // namespace msearch::watch
