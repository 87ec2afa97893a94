// One root and its thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "watch/monitor.h"
#include "watch/notifier.h"
#include "watch/outbox.h"
#include "watch/scanner.h"
#include "watch/settling.h"
#include "watch/snapshot.h"
#include "watch/wake.h"

namespace msearch::watch {

// Thread-safe. Scans the root when it starts, then watches it or polls.
class RootWatcher : public std::enable_shared_from_this<RootWatcher> {
 public:
  RootWatcher(const StoredRoot& root, const MonitorOptions& options,
              std::unique_ptr<Snapshot> snapshot, Reporter* reporter);
  void Start();
  void RequestStop();
  // Ends the thread, and returns when it has ended. A thread that a dead file system keeps from
  // ending is left behind after a while; it doesn't touch snapshot or reporter any more, and keeps
  // this object until its system call returns.
  void Stop();

  int64_t id() const { return root_; }
  RootSpec spec() const;
  void Redefine(const RootSpec& spec);
  Result<RootStatus> Scan(bool full, std::stop_token stop);
  RootStatus Status() const;

 private:
  enum class Work { kStop, kRest, kScan, kChanges };

  // Everything up to the members runs on the root's thread.
  void Run();
  Work NextWork();
  void CarryOut(const RootSpec& spec);
  void Rest();
  void FullScan();
  Result<> ScanAll(bool full, ScanCounts* counts);
  Result<> FinishSettling(Round& round, Scanner& scanner);
  void EndScan(const Result<>& done, const ScanCounts& counts, SteadyTime began);
  void HandleChanges();
  Result<> LookAtChanges(bool dirty, bool due);
  void ReadNotices();
  void LoseTrack();
  Result<Round> NewRound(bool full);
  void PrepareNotifier(const Tree& tree);
  void PollBecause(std::string reason);
  void Fail(const Error& error);
  void SetState(RootState state, const std::string& reason);
  void ShowProgress(const ScanCounts& counts);
  void NoteLooking(bool looking);
  void WaitForWork();
  bool PauseBetweenAttempts(Milliseconds pause);

  const int64_t root_;
  const MonitorOptions options_;
  const OwnFolder own_folder_;
  const FileSystem& file_system_;
  const std::unique_ptr<Snapshot> snapshot_;
  Outbox outbox_;
  Wake wake_;
  std::thread thread_;
  // Set when the work under way has lost its point: the root was redefined or is to be stopped.
  std::atomic<bool> interrupted_ = false;
  // When the file system was last asked something, in steady time; 0: nothing is asked now.
  std::atomic<SteadyTime::rep> asked_at_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable_any ended_changed_;
  // Guarded by mutex_.
  RootSpec spec_;
  bool redefined_ = true;
  bool stopping_ = false;
  bool finished_ = false;
  bool full_requested_ = false;
  uint64_t scans_requested_ = 1;
  uint64_t scans_ended_ = 0;  // the last request that is answered
  RootStatus status_;

  // The root's thread's own.
  RootSpec now_;  // the definition that is being carried out
  std::optional<Filter> filter_;
  Settling settling_;
  std::unique_ptr<Notifier> notifier_;
  std::string polls_because_;     // why there is no notifier
  bool watching_failed_ = false;  // and isn't tried until the root is redefined or comes back
  bool root_lost_ = true;         // as of the last round
  bool some_unreadable_ = false;  // as of the last scan
  std::set<std::string> dirty_;   // paths of which something was heard
  std::optional<SteadyTime> dirty_due_;
  bool waited_for_rename_ = false;
  SteadyTime next_scan_;
  SteadyTime last_scan_ended_;
  Milliseconds last_scan_took_{0};
};

}  // namespace msearch::watch
