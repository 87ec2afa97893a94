// What was found, on its way to the reporter: gathered, reported, and only then written into the
// snapshot. A crash between the two reports the same once more.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "watch/monitor.h"
#include "watch/snapshot.h"

namespace msearch::watch {

struct Finding {
  Change change;
  int64_t directory = 0;      // of change.path
  int64_t old_directory = 0;  // of change.old_path
  FileRow row;                // not for what is gone
};

// One root's. Used by the root's thread alone, except where it says otherwise.
class Outbox {
 public:
  // Waits before the next attempt; false when waiting has no use any more.
  using Pause = std::function<bool(Milliseconds)>;

  Outbox(Reporter* reporter, Snapshot* snapshot, int64_t root, uint64_t files, Pause pause)
      : reporter_(reporter),
        snapshot_(snapshot),
        root_(root),
        pause_(std::move(pause)),
        files_(files) {}

  void SetSpec(const RootSpec& spec) { spec_ = spec; }

  // Each may report, and returns kCancelled when the pause between attempts was broken off or the
  // outbox was closed. What was gathered is dropped then: the next scan finds it again.
  Result<> Add(Finding finding);
  Result<> Flush();
  Result<> EndScan(const RootStatus& status, bool complete);

  // Whether what is gathered moves this file already.
  bool Moves(const std::string& old_path) const { return moved_.contains(old_path); }
  void Drop();

  // Number of files in the snapshot. Any thread.
  uint64_t files() const { return files_; }
  // Whether the thread is in a report or waits to try one again. Any thread.
  bool busy() const { return busy_; }
  // After it returns neither reporter nor snapshot is touched. Any thread.
  void Close();

 private:
  Result<> Persist(const char* what, const std::function<Result<>()>& attempt);
  Result<> Attempt(const std::function<Result<>()>& attempt);
  Result<> Apply();

  Reporter* reporter_;
  Snapshot* const snapshot_;
  const int64_t root_;
  const Pause pause_;
  RootSpec spec_;
  std::vector<Finding> findings_;
  std::set<std::string> moved_;
  std::atomic<uint64_t> files_;
  std::atomic<bool> busy_ = false;
  std::mutex mutex_;  // held while the reporter is called or the snapshot written
  bool closed_ = false;
};

}  // namespace msearch::watch
