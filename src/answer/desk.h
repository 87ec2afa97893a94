// The controller's side of asking: accepts requests, remembers them until they end, tells how they
// stand, and makes good what the queue lost.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "answer/journal.h"
#include "answer/outlook.h"
#include "answer/request.h"
#include "base/file.h"
#include "queue/task_queue.h"

namespace msearch::answer {

struct DeskOptions {
  std::string journal_path;
  std::string upload_directory;                           // of the journaled uploads
  uint64_t upload_bytes_max = uint64_t{1} << 30;          // of all that wait
  Milliseconds result_age{3600 * 1000};                   // then a result is gone
  Milliseconds entry_age{int64_t{7} * 24 * 3600 * 1000};  // then nobody knows that it was there
  int64_t open_max = 100000;                              // accepted and not ended
  std::string worker_id;                                  // of the controller, for leases
  std::string host;
  Milliseconds lease_duration{15000};
  Milliseconds keep_alive{15000};
  // How long a task of a queue takes, as long as none has ended; by queue.
  std::map<std::string, double> usual_ms;
  // The queue for a request's analysis, where not all workers can do each; empty: the one of all.
  std::function<std::string(const Request&)> analysis_queue;
};

// How an accepted request stands.
struct Standing {
  std::string id;
  std::string kind;
  std::string status;               // "queued", "started", "finished", "failed", "cancelled"
  std::string reason;               // "paused", "no worker", "delayed", ...
  bool gone = false;                // its result's time is over
  std::optional<int64_t> position;  // in its queue, from 1; while queued
  // Until it ends, about. Nothing when that can't be told: `reason` is "paused" or "no worker".
  std::optional<double> eta_s;
  bool eta_measured = false;  // rests on tasks that ended; else on what is usual
  double progress = 0;
  std::string stage;
  std::string message;
  std::string partial;  // of an answer that is being written
  UnixMs accepted_at = 0;
  std::optional<UnixMs> started_at;
  std::optional<UnixMs> finished_at;
  int attempts = 0;
  Json result;
  std::optional<Error> error;
  std::vector<queue::TaskId> tasks;
  bool ended() const { return status != "queued" && status != "started"; }
};

// Thread-safe.
class Desk {
 public:
  static Result<std::unique_ptr<Desk>> Open(std::shared_ptr<queue::TaskQueue> queue,
                                            DeskOptions options);
  ~Desk();
  // Ends the threads; waiters are answered with how things stand.
  void Stop();

  struct Accepted {
    Standing standing;
    bool known = false;  // the same request under the same key, accepted before
  };
  // kConflict when another request was made under this key, kExhausted when too much waits,
  // kUnavailable when the queue is away.
  Result<Accepted> Accept(const Request& request, const std::string& key,
                          const std::string& digest);
  // kNotFound for what was never accepted, or long ago.
  Result<Standing> Get(const std::string& id);
  // Ends it as cancelled, whatever its workers do; they stop soon. kConflict when it had ended,
  // as it stands when its result is gone.
  Result<Standing> Cancel(const std::string& id);

  // Calls `tell` from the desk's thread with each change, the present state first, until it
  // returns false, the request has ended or `end` is reached (then once more). `tell` must not
  // wait. With `ends_only` the changes on the way are left out; else it is also called when nothing
  // has changed for `keep_alive`, so that who listens knows that somebody is there.
  void Watch(const std::string& id, SteadyTime end, bool ends_only,
             std::function<bool(const Result<Standing>& standing, bool last)> tell);

  // Uploaded bytes, kept until the request that names them ends. kExhausted beyond the bound.
  Result<std::string> KeepUpload(std::string_view bytes);
  Result<std::string> KeepUploadedFile(const std::string& path);
  Result<Fd> OpenUpload(const std::string& id) const;
  void DropUpload(const std::string& id);

  // Share of the workers of these queues that are busy now; by queue.
  struct Load {
    int workers = 0;
    int64_t busy = 0;
  };
  std::map<std::string, Load> Loads();

 private:
  struct Watcher {
    std::string id;
    SteadyTime end;
    bool ends_only = false;
    std::function<bool(const Result<Standing>&, bool)> tell;
    std::string told;  // what it knows
    SteadyTime told_at{};
    bool fresh = true;
  };

  Desk(std::shared_ptr<queue::TaskQueue> queue, DeskOptions options,
       std::unique_ptr<Journal> journal);
  Result<Standing> StandingOf(Entry entry, bool with_place);
  // Where it stands and when it ends, by its parts that haven't. `fresh`: enqueued just now.
  void AddPlace(const std::vector<queue::Task>& tasks, bool fresh, Standing* standing);
  std::string AnalysisQueue(const Request& request) const;
  // Makes the tasks again that the queue lost.
  Result<> Resubmit(Entry* entry);
  Result<> EndAs(const Entry& entry, const queue::Task& task);
  void Ended(const Entry& entry);
  void HandleEnds(std::stop_token stop);
  void Sweep(std::stop_token stop);
  Result<> SweepStep(std::string* cursor);
  void Tell(std::stop_token stop);
  void Poke(const std::string& ended);
  Result<> RemoveStrayUploads();
  Result<std::string> Reserve(uint64_t bytes);
  std::string UploadPath(const std::string& id) const;

  const std::shared_ptr<queue::TaskQueue> queue_;
  const DeskOptions options_;
  const std::unique_ptr<Journal> journal_;
  std::atomic<uint64_t> upload_bytes_{0};
  std::atomic<int64_t> open_{0};

  std::mutex resubmit_mutex_;
  Lookout lookout_;

  std::mutex watch_mutex_;
  std::condition_variable_any poked_;
  std::set<std::string> ended_;    // by watch_mutex_; since the thread looked
  std::vector<Watcher> watchers_;  // by watch_mutex_; those that came since the thread looked
  std::vector<std::jthread> threads_;
};

}  // namespace msearch::answer
