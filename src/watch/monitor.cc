#include "watch/monitor.h"

#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "watch/root_watcher.h"
#include "watch/snapshot.h"

namespace msearch::watch {
namespace {

Result<> Check(const RootSpec& spec) {
  if (spec.name.empty()) return Error{Code::kInvalid, "root: has no name"};
  if (!spec.path.starts_with('/')) {
    return Error{Code::kInvalid, spec.name + ": path isn't absolute: " + spec.path};
  }
  if (spec.path.find('\0') != std::string::npos) {
    return Error{Code::kInvalid, spec.name + ": path has a NUL in it"};
  }
  for (const std::string& extension : spec.extensions) {
    if (!extension.starts_with('.')) {
      return Error{Code::kInvalid, spec.name + ": extension without a dot: " + extension};
    }
  }
  if (spec.scan_interval_s < 1) {
    return Error{Code::kInvalid, spec.name + ": scan_interval_s: less than 1"};
  }
  return Ok{};
}

// The snapshot can be made again by a scan, so a damaged one must not stop the monitor.
Result<std::unique_ptr<Snapshot>> OpenOrRenew(const std::string& database) {
  Result<std::unique_ptr<Snapshot>> snapshot = Snapshot::Open(database);
  if (snapshot.ok() || snapshot.code() != Code::kCorrupt) return snapshot;
  LOG_ERROR("{}; it is put aside as {}.corrupt, and every file is reported again",
            snapshot.message(), database);
  if (std::rename(database.c_str(), (database + ".corrupt").c_str()) != 0) {
    return ErrnoError(database, errno);
  }
  std::remove((database + "-wal").c_str());
  std::remove((database + "-shm").c_str());
  return Snapshot::Open(database);
}

class MonitorImpl final : public Monitor {
 public:
  MonitorImpl(const MonitorOptions& options, Reporter* reporter, Fd lock,
              std::unique_ptr<Snapshot> snapshot)
      : options_(options),
        reporter_(reporter),
        lock_(std::move(lock)),
        snapshot_(std::move(snapshot)) {}

  ~MonitorImpl() override {
    for (const auto& [name, root] : roots_) root->RequestStop();
    for (const auto& [name, root] : roots_) root->Stop();
  }

  Result<> WatchKnown() {
    TRY(snapshot_->RemoveOrphans());
    for (const StoredRoot& root : TRY(snapshot_->Roots())) TRY(Begin(root));
    return Ok{};
  }

  Result<> Watch(const RootSpec& spec) override {
    TRY(Check(spec));
    const std::lock_guard lock(mutex_);
    const auto known = roots_.find(spec.name);
    if (known != roots_.end() && known->second->spec() == spec) return Ok{};
    const int64_t id = TRY(snapshot_->PutRoot(spec));
    if (known == roots_.end()) return Begin({.id = id, .spec = spec});
    known->second->Redefine(spec);
    return Ok{};
  }

  Result<> Unwatch(const std::string& name) override {
    const std::shared_ptr<RootWatcher> root = Find(name);
    if (root == nullptr) return Error{Code::kNotFound, name + ": no such root"};
    root->Stop();
    {
      const std::lock_guard lock(mutex_);
      const auto known = roots_.find(name);
      // Unwatched by two callers at once: the other one did it.
      if (known == roots_.end() || known->second != root) return Ok{};
      roots_.erase(known);
      TRY(snapshot_->RemoveRoot(root->id()));
    }
    // Without the lock, because it may take a while; what isn't removed now is when next opened.
    return TRY(Snapshot::Open(options_.database))->RemoveOrphans();
  }

  Result<RootStatus> Scan(const std::string& name, bool full, std::stop_token stop) override {
    const std::shared_ptr<RootWatcher> root = Find(name);
    if (root == nullptr) return Error{Code::kNotFound, name + ": no such root"};
    return root->Scan(full, std::move(stop));
  }

  std::vector<RootStatus> Status() const override {
    const std::lock_guard lock(mutex_);
    std::vector<RootStatus> all;
    for (const auto& [name, root] : roots_) all.push_back(root->Status());
    return all;
  }

 private:
  Result<> Begin(const StoredRoot& root) {
    auto watcher = std::make_shared<RootWatcher>(root, options_,
                                                 TRY(Snapshot::Open(options_.database)), reporter_);
    watcher->Start();
    roots_[root.spec.name] = std::move(watcher);
    return Ok{};
  }

  std::shared_ptr<RootWatcher> Find(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto known = roots_.find(name);
    return known == roots_.end() ? nullptr : known->second;
  }

  const MonitorOptions options_;
  Reporter* const reporter_;
  const Fd lock_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  const std::unique_ptr<Snapshot> snapshot_;
  std::map<std::string, std::shared_ptr<RootWatcher>> roots_;
};

}  // namespace

Result<std::unique_ptr<Monitor>> Monitor::Open(const MonitorOptions& options, Reporter* reporter) {
  Fd lock = TRY(LockFile(options.database + ".lock"));
  std::unique_ptr<Snapshot> snapshot = TRY(OpenOrRenew(options.database));
  auto monitor =
      std::make_unique<MonitorImpl>(options, reporter, std::move(lock), std::move(snapshot));
  TRY(monitor->WatchKnown());
  return std::unique_ptr<Monitor>(std::move(monitor));
}

}  // namespace msearch::watch
