// What the tests of the monitor share: a reporter that believes what it is told and keeps a model
// of the library, a file system that can be made to fail, and small file operations.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "watch/file_system.h"
#include "watch/monitor.h"

namespace msearch::watch {

namespace fs = std::filesystem;

// Polls until it holds; false after a deadline that only a broken program reaches.
inline bool Eventually(const std::function<bool()>& condition) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    never.wait_for(lock, Milliseconds(5));
  }
  return condition();
}

class RecordingReporter final : public Reporter {
 public:
  using Identity = std::tuple<uint64_t, uint64_t, int64_t>;  // inode, size, modified_ns

  Result<> Report(const RootSpec& root, const std::vector<Change>& changes) override {
    std::unique_lock lock(mutex_);
    ++waiting_;
    opened_.wait(lock, [&] { return !closed_; });
    --waiting_;
    EXPECT_LE(changes.size(), 500u);
    for (const Change& change : changes) {
      Apply(root.name, change);
      changes_.push_back(change);
    }
    ++reports_;
    if (failures_ > 0) {
      --failures_;
      return Error{Code::kUnavailable, "controller: away"};
    }
    return Ok{};
  }
  Result<> ScanEnded(const RootSpec&, const RootStatus& status, bool complete) override {
    const std::lock_guard lock(mutex_);
    ends_.emplace_back(status, complete);
    return Ok{};
  }

  // Reports block until Open.
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    closed_ = false;
    opened_.notify_all();
  }
  int waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }
  // So many reports are recorded, and then said to have failed.
  void FailNext(int count) {
    const std::lock_guard lock(mutex_);
    failures_ = count;
  }
  std::vector<Change> TakeChanges() {
    const std::lock_guard lock(mutex_);
    return std::exchange(changes_, {});
  }
  int Count(Change::Kind kind, const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::ranges::count_if(
        changes_, [&](const Change& c) { return c.kind == kind && c.path == path; }));
  }
  bool HasMoved(const std::string& from, const std::string& to) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(changes_, [&](const Change& c) {
      return c.kind == Change::Kind::kMoved && c.old_path == from && c.path == to;
    });
  }
  size_t changes() const {
    const std::lock_guard lock(mutex_);
    return changes_.size();
  }
  int reports() const {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  std::vector<std::pair<RootStatus, bool>> ends() const {
    const std::lock_guard lock(mutex_);
    return ends_;
  }
  // What the reports add up to: path to the file that is there.
  std::map<std::string, Identity> Model(const std::string& root) const {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(root);
    return found == models_.end() ? std::map<std::string, Identity>() : found->second;
  }
  std::set<std::string> Paths(const std::string& root) const {
    std::set<std::string> paths;
    for (const auto& [path, identity] : Model(root)) paths.insert(path);
    return paths;
  }

 private:
  void Apply(const std::string& root, const Change& change) {
    auto& model = models_[root];
    const Identity identity{change.inode, change.size, change.modified_ns};
    switch (change.kind) {
      case Change::Kind::kPresent:
        model[change.path] = identity;
        break;
      case Change::Kind::kMoved:
        // Said twice after a crash: then the old path is known no more.
        if (auto old = model.find(change.old_path); old != model.end()) {
          EXPECT_EQ(old->second, identity) << change.old_path << " to " << change.path;
          model.erase(old);
        }
        model[change.path] = identity;
        break;
      case Change::Kind::kGone:
        model.erase(change.path);
        break;
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable opened_;
  bool closed_ = false;
  int waiting_ = 0;
  int failures_ = 0;
  int reports_ = 0;
  std::vector<Change> changes_;
  std::vector<std::pair<RootStatus, bool>> ends_;
  std::map<std::string, std::map<std::string, Identity>> models_;
};

// The machine's file system, with faults by path (as the monitor names it: absolute for a root,
// relative below it).
class FaultyFileSystem final : public FileSystem {
 public:
  int OpenDirectory(int at, const std::string& path, bool follow, Fd* directory) const override {
    {
      std::unique_lock lock(mutex_);
      if (hangs_.contains(path)) {
        ++hanging_;
        changed_.wait(lock, [&] { return !hangs_.contains(path); });
        --hanging_;
      }
      if (auto found = open_errors_.find(path); found != open_errors_.end()) return found->second;
    }
    return FileSystem::OpenDirectory(at, path, follow, directory);
  }
  int List(int directory, Listing* listing) const override {
    const int error = FileSystem::List(directory, listing);
    const std::lock_guard lock(mutex_);
    if (error == 0 && list_error_name_ != "") {
      for (const Listing::Entry& entry : listing->entries) {
        if (listing->name(entry) == list_error_name_) return EIO;  // half-way through
      }
    }
    return error;
  }
  int KindOf(int directory, FileSystemKind* kind) const override {
    const int error = FileSystem::KindOf(directory, kind);
    const std::lock_guard lock(mutex_);
    if (kind_) *kind = *kind_;
    return error;
  }
  int AddWatch(int inotify, int directory, uint32_t mask) const override {
    {
      const std::lock_guard lock(mutex_);
      if (watches_left_ == 0) return -ENOSPC;
      if (watches_left_ > 0) --watches_left_;
    }
    return FileSystem::AddWatch(inotify, directory, mask);
  }

  void FailOpen(const std::string& path, int error) {
    const std::lock_guard lock(mutex_);
    if (error != 0) {
      open_errors_[path] = error;
    } else {
      open_errors_.erase(path);
    }
  }
  void FailListingWith(const std::string& name) {
    const std::lock_guard lock(mutex_);
    list_error_name_ = name;
  }
  void Hang(const std::string& path, bool hang) {
    const std::lock_guard lock(mutex_);
    if (hang) {
      hangs_.insert(path);
    } else {
      hangs_.erase(path);
      changed_.notify_all();
    }
  }
  int hanging() const {
    const std::lock_guard lock(mutex_);
    return hanging_;
  }
  void PretendKind(const FileSystemKind& kind) {
    const std::lock_guard lock(mutex_);
    kind_ = kind;
  }
  void LimitWatches(int count) {
    const std::lock_guard lock(mutex_);
    watches_left_ = count;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable int watches_left_ = -1;
  mutable int hanging_ = 0;
  std::map<std::string, int> open_errors_;
  std::set<std::string> hangs_;
  std::string list_error_name_;
  std::optional<FileSystemKind> kind_;
};

class MonitorFixture : public testing::Test {
 protected:
  MonitorFixture() { fs::create_directory(root_); }

  // Of monitors opened from now on:
  Milliseconds settle_{40};
  std::string own_folder_;

  MonitorOptions Options() const {
    MonitorOptions options;
    options.database = directory_.path() + "/watch.db";
    options.own_folder = own_folder_;
    options.settle = settle_;
    options.coalesce = Milliseconds(20);
    options.recheck = Milliseconds(30);
    options.file_system = faults_;
    return options;
  }
  void OpenMonitor() {
    monitor_.reset();
    Result<std::unique_ptr<Monitor>> opened = Monitor::Open(Options(), &reporter_);
    ASSERT_TRUE(opened.ok()) << opened.message();
    monitor_ = std::move(*opened);
  }
  void CloseMonitor() { monitor_.reset(); }
  // Far-off scans, so that what is seen was watched or asked for.
  RootSpec Spec() const {
    RootSpec spec;
    spec.name = "root";
    spec.path = root_;
    spec.scan_interval_s = 3600;
    return spec;
  }
  void Start() { Start(Spec()); }
  void Start(const RootSpec& spec) {
    if (monitor_ == nullptr) OpenMonitor();
    const Result<> watched = monitor_->Watch(spec);
    ASSERT_TRUE(watched.ok()) << watched.message();
    Scan();
  }
  RootStatus Scan(bool full = false) {
    Result<RootStatus> status = monitor_->Scan("root", full, {});
    EXPECT_TRUE(status.ok()) << status.message();
    return status.ok() ? *status : RootStatus{};
  }
  RootStatus Status() const { return monitor_->Status().at(0); }

  std::string At(const std::string& path) const { return root_ + "/" + path; }
  void Write(const std::string& path, const std::string& bytes) const {
    fs::create_directories(fs::path(At(path)).parent_path());
    const Result<Fd> fd = OpenFile(At(path), O_WRONLY | O_CREAT | O_TRUNC);
    ASSERT_TRUE(fd.ok()) << fd.message();
    ASSERT_TRUE(WriteAll(fd->get(), bytes).ok());
  }
  void Move(const std::string& from, const std::string& to) const { fs::rename(At(from), At(to)); }
  // What is there, by a walk of the tests' own.
  std::map<std::string, RecordingReporter::Identity> Disk() const {
    std::map<std::string, RecordingReporter::Identity> files;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      struct stat info {};
      if (lstat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      files[entry.path().lexically_relative(root_).string()] = {
          info.st_ino, static_cast<uint64_t>(info.st_size),
          info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
    }
    return files;
  }

  const TemporaryDirectory directory_;
  const std::string root_ = directory_.path() + "/root";
  const std::shared_ptr<FaultyFileSystem> faults_ = std::make_shared<FaultyFileSystem>();
  RecordingReporter reporter_;
  std::unique_ptr<Monitor> monitor_;  // goes first
};

}  // namespace msearch::watch
