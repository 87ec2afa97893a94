// The controller's side of second looks: what readers haven't read, and what of their texts a model
// hasn't embedded, becomes tasks; what comes back becomes rows.
//
// Contents are walked in order of their ids, a window at a time. At the end of the walk nothing is
// left to enqueue until the catalog's revision rises, so that an idle library costs one look at
// that number. A walk from the top, now and then and after the queue lost its state, brings back
// every task that was lost.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "ingest/capability.h"
#include "ingest/pipeline.h"
#include "queue/task_queue.h"
#include "queue/worker.h"
#include "storage/blob_store.h"

namespace msearch::ingest {

struct WantedReader {
  catalog::ReaderSpec spec;
  // Whether there may be anything to find; empty: always. What isn't wanted counts as read.
  std::function<bool(const catalog::Unread&)> wants;
};

// Thread-safe.
class Readings {
 public:
  Readings(std::shared_ptr<catalog::Catalog> catalog, std::shared_ptr<queue::TaskQueue> queue,
           std::shared_ptr<storage::BlobStore> blobs,
           std::function<std::vector<WantedReader>()> wanted, bool workers_differ = false);

  // Enqueues what is missing, as far as the windows allow. `model`: that texts are embedded with.
  Result<> Step(const std::optional<TargetModel>& model);
  // The next step walks from the top.
  void Restart();
  // A content that was walked over may have changed.
  void Changed(catalog::MediaId media);
  // The catalog's revision up to which everything is enqueued; nothing while there's more to walk.
  std::optional<int64_t> walked() const;

  // For the kinds "reading", "reading_failed" and "vectors".
  std::map<std::string, queue::BatchHandler> Handlers();
  // Results that came too late and were refused.
  uint64_t stale() const { return stale_; }

 private:
  // Room in the queues of a step, and who works there.
  struct Window {
    Workforce workforce;
    int64_t room = 0;                       // for all readers
    std::map<std::string, int64_t> queued;  // by queue
  };
  // False when the window is full.
  Result<bool> WalkReader(const WantedReader& reader, Window* window);
  Result<bool> WalkTexts(const TargetModel& model, int64_t* room);
  Result<> Commit(const queue::TaskContext& task, queue::Outcome* outcome);
  Result<> CommitFailure(const queue::TaskContext& task);
  Result<> CommitVectors(const queue::TaskContext& task);

  const std::shared_ptr<catalog::Catalog> catalog_;
  const std::shared_ptr<queue::TaskQueue> queue_;
  const std::shared_ptr<storage::BlobStore> blobs_;
  const std::function<std::vector<WantedReader>()> wanted_;
  const bool workers_differ_;

  std::mutex walk_mutex_;                                   // one walk at a time
  std::map<std::string, catalog::MediaId> cursors_;         // by reader and key; by walk_mutex_
  std::map<std::string, catalog::SegmentId> text_cursors_;  // by model key; by walk_mutex_
  std::set<std::string> readers_before_;                    // by walk_mutex_
  SteadyTime full_walk_at_{};                               // by walk_mutex_

  mutable std::mutex mutex_;
  bool restart_ = false;                          // by mutex_
  std::optional<catalog::MediaId> changed_from_;  // by mutex_
  std::optional<int64_t> walked_;                 // by mutex_
  std::atomic<uint64_t> stale_ = 0;
};

}  // namespace msearch::ingest
