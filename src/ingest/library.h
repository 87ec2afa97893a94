// The controller's side of ingest: the only writer of the catalog. Turns reports of the monitor
// into catalog rows, finished work into commits, and what the catalog still lacks into tasks (the
// reconciler), and keeps the vector index in step.
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

#include "catalog/catalog.h"
#include "embedding/embedder.h"
#include "ingest/builds.h"
#include "ingest/capability.h"
#include "ingest/fingerprint_follower.h"
#include "ingest/index_follower.h"
#include "ingest/pipeline.h"
#include "ingest/readings.h"
#include "ingest/speed.h"
#include "ingest/thumbnails.h"
#include "queue/task_queue.h"
#include "storage/blob_store.h"
#include "watch/monitor.h"

namespace msearch::ingest {

struct LibraryOptions {
  std::string data_directory;  // no root is or lies in it; empty: anywhere
  std::string index_directory;
  std::string thumbnail_directory;
  std::string build_directory;
  std::string worker_id;  // of the controller, for leases
  std::string host;
  std::string model;  // pack wanted by the configuration
  // What a pack would be; an error when it isn't there.
  std::function<Result<embedding::ModelInfo>(const std::string& name)> model_info;
  // What second looks are wanted now, those whose models are there. May be empty.
  std::function<std::vector<WantedReader>()> readers;
  std::vector<std::string> extensions;  // of roots that name none; empty: all that can be read
  int scan_interval_s = 300;            // of roots that name none
  queue::Retention retention;
  Milliseconds lease_duration{15000};
  // Workers may differ in what they can do: see ingest/capability.h.
  bool workers_differ = false;
  std::string device;  // that has to embed; empty: any
  // Told when builds that aren't distributed begin (true) and end; may be empty.
  std::function<void(bool)> works_here;
  // What is wrong with the place where tasks are kept; empty: nothing. May be absent.
  std::function<std::string()> queue_problem;
};

struct RootView {
  catalog::Root root;
  catalog::RootCounts counts;
  double speed_files_s = 0;     // over the last seconds
  std::optional<double> eta_s;  // for what is pending
  std::string current;          // file committed last
  std::string problem;          // why what is pending doesn't move, if that is known
};

struct IndexStatus {
  // All that is known is committed or has failed, and searchable; all that is to be read was read.
  bool idle = false;
  int64_t files = 0;
  int64_t indexed = 0;
  int64_t pending = 0;
  int64_t failed = 0;
  int64_t scans_pending = 0;     // scans and reports not yet worked off
  int64_t readings_pending = 0;  // second looks queued or under way; more may follow
  double speed_files_s = 0;
  std::optional<double> eta_s;
  std::string problem;             // why nothing moves, if something is wrong
  std::vector<Unserved> unserved;  // tasks that no worker can do
  std::vector<RootView> roots;
};

struct ModelState {
  std::string active;  // searched with; empty: none
  std::string active_key;
  std::string target;  // being built, if another
  std::string target_key;
  std::string problem;  // why the wanted model isn't used
};

// The index that searches use, and whose it is.
struct ActiveIndex {
  embedding::ModelInfo model;
  std::shared_ptr<index::VectorIndex> index;
};

// What sounds are searched with, whatever the model.
struct ActiveSounds {
  std::shared_ptr<const index::VectorIndex> alike;
  std::shared_ptr<const index::FingerprintIndex> recordings;
};

// Thread-safe.
class Library {
 public:
  Library(std::shared_ptr<catalog::Catalog> catalog, std::shared_ptr<queue::TaskQueue> queue,
          std::shared_ptr<storage::BlobStore> blobs, LibraryOptions options);
  ~Library();

  // Decides the model, opens the index, asks for a scan of every root, starts the threads.
  Result<> Start();
  // Ends the threads; what was leased goes back. Idempotent.
  void Stop();

  Result<catalog::Root> AddRoot(watch::RootSpec spec, const std::string& origin);
  Result<> RemoveRoot(const std::string& name);  // kConflict for one of the configuration
  Result<queue::TaskId> Scan(const std::string& name, bool full);
  Result<> SetPaused(const std::string& name, bool paused);
  // Lets no task of a queue start, or lets them again; with a step's queue those beside it, too.
  // Gives the names of all. The catalog remembers it, and a queue that lost its state, or takes the
  // place of another, is made to agree before anything is enqueued.
  Result<std::vector<std::string>> PauseQueue(const std::string& queue, bool paused);
  // Makes the roots of the configuration be what it says.
  Result<> SyncConfiguredRoots(const std::vector<watch::RootSpec>& specs);
  Result<std::vector<RootView>> Roots();
  Result<RootView> GetRoot(const std::string& name);

  Result<IndexStatus> Status();
  Result<int64_t> RetryFailures(const catalog::FailureFilter& filter);
  // Scans these roots (none named: all) and watches until all of them is committed. What it queues
  // while a build that isn't `distributed` runs, files of its roots, is worked on beside the
  // controller only. kNotFound for an unknown name; then nothing is begun.
  Result<Build> BuildIndex(std::vector<std::string> roots, bool distributed = true);
  Result<Build> GetBuild(const std::string& id) const { return builds_.Get(id); }
  // Switches to another pack: its vectors are built beside the present ones, then take over.
  Result<ModelState> UseModel(const std::string& name);
  ModelState Models() const;
  // The model that files are being embedded with; absent: none.
  std::optional<TargetModel> EmbedsWith() const;
  std::optional<ActiveIndex> Active() const;
  ActiveSounds Sounds() const;
  // Results that came too late and were refused, since the start.
  uint64_t stale_commits() const { return stale_commits_ + readings_.stale(); }
  const Thumbnails& thumbnails() const { return thumbnails_; }
  // Commits that took effect, since the start: of new contents, and of paths of known ones.
  uint64_t content_commits() const { return content_commits_; }
  uint64_t path_commits() const { return path_commits_; }
  // Compares index and catalog; the problems found, in words.
  Result<std::vector<std::string>> Verify();

 private:
  Result<std::optional<embedding::ModelInfo>> StoredModel() const;
  Result<> ChooseModel(const std::string& name);
  Result<> OpenFollower(const embedding::ModelInfo& model, std::unique_ptr<IndexFollower>* out);
  void SwitchModelIfReady();
  Result<> OpenSounds();
  bool Searchable() const;  // under model_mutex_
  Result<> RequestScan(const catalog::Root& root, bool full, queue::TaskId* id);
  // Whether the queue's state is another than last time.
  Result<bool> GuardAgainstLostQueue();
  void DropBlobsOfLostTasks();
  Result<std::set<std::string>> PausedQueues();  // REQUIRES: pause_mutex_
  Result<std::vector<std::string>> QueuesCalled(const std::string& name);
  Result<> PauseAgain();
  void Reconcile(std::stop_token stop);
  Result<bool> ReconcileStep(catalog::FileId* cursor);
  void Poke();
  // The queue at one moment.
  struct QueueLook {
    std::vector<queue::QueueStats> queues;
    std::vector<Unserved> unserved;
  };
  Result<QueueLook> LookAtQueue();
  Result<std::vector<RootView>> RootsSeenWith(const std::vector<Unserved>& unserved);
  // Why no file can be prepared or embedded; empty: nothing is known that keeps it.
  std::string WhyNothingMoves(const std::vector<Unserved>& unserved) const;
  void UpdateBuilds();
  Result<> UpdateBuild(Build build);
  Result<Json> FailuresOf(const std::vector<std::string>& roots) const;

  struct Route;
  std::vector<queue::NewTask> MakeJobs(const std::vector<catalog::File>& files,
                                       const std::map<int64_t, catalog::Root>& roots,
                                       const Route& route) const;
  void HandleReports(std::stop_token stop);
  void HandleCommits(std::stop_token stop);
  Result<> ApplyChanges(const Json& payload);
  Result<> ApplyScanEnded(const Json& payload);
  void Count(const std::string& root, const std::string& path);
  void PokeIndex();

  const std::shared_ptr<catalog::Catalog> catalog_;
  const std::shared_ptr<queue::TaskQueue> queue_;
  const std::shared_ptr<storage::BlobStore> blobs_;
  const LibraryOptions options_;

  Builds builds_;
  // By the reconciler's thread.
  bool works_here_ = false;  // as options_.works_here was told
  std::optional<SteadyTime> queue_lost_at_;
  Readings readings_;
  Thumbnails thumbnails_;
  std::mutex pause_mutex_;
  std::mutex roots_mutex_;  // held from reading a root's row until it is written with a change
  SteadyTime started_at_ = std::chrono::steady_clock::now();

  mutable std::mutex model_mutex_;
  std::shared_ptr<IndexFollower> active_;
  std::shared_ptr<IndexFollower> target_;  // null when the active one is the target
  std::shared_ptr<IndexFollower> sounds_;
  std::shared_ptr<FingerprintFollower> fingerprints_;
  std::string model_problem_;
  std::optional<TargetModel> embed_with_;

  mutable std::mutex mutex_;
  std::condition_variable_any poked_;
  bool poke_ = false;
  std::string problem_;
  std::map<std::string, std::unique_ptr<Speed>> speeds_;  // by root

  std::atomic<uint64_t> stale_commits_ = 0;
  std::atomic<uint64_t> content_commits_ = 0;
  std::atomic<uint64_t> path_commits_ = 0;
  std::vector<std::jthread> threads_;
};

watch::RootSpec SpecOf(const catalog::Root& root);

}  // namespace msearch::ingest
