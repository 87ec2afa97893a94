#include "watch/outbox.h"

#include <algorithm>

#include "base/log.h"

namespace msearch::watch {
namespace {

constexpr size_t kBatchMax = 500;  // the reporter's contract
constexpr Milliseconds kFirstPause{100};
constexpr Milliseconds kLongestPause{10'000};

// Moves first: they name files by what the reporter knows, which what is present overwrites.
int Rank(Change::Kind kind) {
  if (kind == Change::Kind::kMoved) return 0;
  return kind == Change::Kind::kPresent ? 1 : 2;
}

}  // namespace

Result<> Outbox::Add(Finding finding) {
  if (finding.change.kind == Change::Kind::kMoved) moved_.insert(finding.change.old_path);
  findings_.push_back(std::move(finding));
  return findings_.size() < kBatchMax ? Ok{} : Flush();
}

void Outbox::Drop() {
  findings_.clear();
  moved_.clear();
}

Result<> Outbox::Flush() {
  if (findings_.empty()) return Ok{};
  std::ranges::stable_sort(findings_, {}, [](const Finding& f) { return Rank(f.change.kind); });
  std::vector<Change> changes;
  changes.reserve(findings_.size());
  for (const Finding& finding : findings_) changes.push_back(finding.change);
  Result<> done = Persist("report", [&] { return reporter_->Report(spec_, changes); });
  if (done.ok()) done = Persist("snapshot", [&] { return Apply(); });
  Drop();
  return done;
}

Result<> Outbox::EndScan(const RootStatus& status, bool complete) {
  return Persist("end of scan", [&] { return reporter_->ScanEnded(spec_, status, complete); });
}

Result<> Outbox::Persist(const char* what, const std::function<Result<>()>& attempt) {
  busy_ = true;
  Result<> done = Ok{};
  for (Milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    done = Attempt(attempt);
    if (done.ok() || done.code() == Code::kCancelled) break;
    LOG_WARNING("root {}: {} failed, tried again in {} ms: {}", spec_.name, what, pause.count(),
                done.message());
    if (!pause_(pause)) {
      done = Error{Code::kCancelled, spec_.name + ": interrupted"};
      break;
    }
  }
  busy_ = false;
  return done;
}

Result<> Outbox::Attempt(const std::function<Result<>()>& attempt) {
  const std::lock_guard lock(mutex_);
  if (closed_) return Error{Code::kCancelled, spec_.name + ": not watched any more"};
  Result<> done = attempt();
  // Only interruption cancels; a reporter that says so has failed.
  if (!done.ok() && done.code() == Code::kCancelled) {
    return Error{Code::kUnavailable, done.message()};
  }
  return done;
}

Result<> Outbox::Apply() {
  int difference = 0;
  TRY(snapshot_->Transact([&]() -> Result<> {
    difference = 0;
    for (const Finding& finding : findings_) {
      const Change& change = finding.change;
      if (change.kind == Change::Kind::kMoved) {
        difference += TRY(snapshot_->RemoveFile(
            finding.old_directory,
            std::string_view(change.old_path).substr(change.old_path.rfind('/') + 1)));
      }
      const std::string_view name =
          std::string_view(change.path).substr(change.path.rfind('/') + 1);
      difference += change.kind == Change::Kind::kGone
                        ? TRY(snapshot_->RemoveFile(finding.directory, name))
                        : TRY(snapshot_->PutFile(finding.directory, name, finding.row));
    }
    return snapshot_->PutFileCount(
        root_, files_ + static_cast<uint64_t>(static_cast<int64_t>(difference)));
  }));
  files_ += static_cast<uint64_t>(static_cast<int64_t>(difference));
  return Ok{};
}

void Outbox::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace msearch::watch
