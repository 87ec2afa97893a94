#include <set>

#include "base/log.h"
#include "ingest/library.h"
#include "media/format.h"

// The reconciler enqueues what the catalog calls pending. It walks the pending files in order of
// their ids, a page at a time, and waits at the window's end until workers have caught up; at the
// list's end until something changes. Because a file version has one unique key from prepare to
// commit, walking over files that are under way changes nothing, so it simply starts again from
// the top now and then: that alone brings back every task that was ever lost.

namespace msearch::ingest {
namespace {

constexpr size_t kPage = 500;
constexpr int64_t kWindow = 4000;  // prepare tasks queued at a time
constexpr auto kFullPassEvery = std::chrono::seconds(30);
constexpr auto kStepEvery = std::chrono::seconds(1);
constexpr auto kTidyEvery = std::chrono::seconds(60);
constexpr auto kRetryEvery =
    std::chrono::minutes(10);                     // what failed because something was away or full
constexpr Milliseconds kBlobAgeMax{3600 * 1000};  // and of a thumbnail without a content
// How long a file may be gone from one root before it shows up in another without being embedded
// again.
constexpr Milliseconds kOrphanAge{600 * 1000};

}  // namespace

// Where tasks go at the moment, and how much is there.
struct Library::Route {
  Workforce workforce;
  std::set<std::string> beside_controller;  // roots
  std::map<std::string, int64_t> queued;    // by queue
};

std::vector<queue::NewTask> Library::MakeJobs(const std::vector<catalog::File>& files,
                                              const std::map<int64_t, catalog::Root>& roots,
                                              const Route& route) const {
  const std::optional<TargetModel> model = EmbedsWith();
  std::vector<queue::NewTask> tasks;
  for (const catalog::File& file : files) {
    const auto root = roots.find(file.root_id);
    if (root == roots.end()) continue;
    PrepareJob job;
    job.file = file.id;
    job.version = file.version;
    job.root = root->second.name;
    job.root_path = root->second.path;
    job.path = file.fact.path;
    job.size = file.fact.size;
    job.modified_ns = file.fact.modified_ns;
    job.model = model;
    job.beside_controller = route.beside_controller.contains(job.root);
    std::string_view format = media::FormatOfName(job.path);
    if (!route.workforce.SomeLack(kPrepareQueue, QueueNeeding(kPrepareQueue, {format})))
      format = "";
    queue::NewTask task = PrepareTask(job, queue::Priority::kNormal, format);
    // What nobody can do mustn't fill the queue: a later pass comes to it.
    const auto queued = route.queued.find(task.queue);
    if (queued != route.queued.end() && queued->second >= kWindow) continue;
    tasks.push_back(std::move(task));
  }
  return tasks;
}

// One page; false when the window is full or the list is at its end (then the cursor is 0).
Result<bool> Library::ReconcileStep(catalog::FileId* cursor) {
  Route route;
  for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
    if (IsOfStep(stats.name, kPrepareQueue)) route.queued[stats.name] = stats.queued;
  }
  for (const std::string& name :
       {std::string(kPrepareQueue), QueueNeeding(kPrepareQueue, {kBesideController})}) {
    if (route.queued[name] >= kWindow) return false;
  }
  if (options_.workers_differ) {
    route.workforce = Workforce(TRY(queue_->Workers()));
    for (const Build& build : builds_.Running()) {
      if (!build.distributed)
        route.beside_controller.insert(build.roots.begin(), build.roots.end());
    }
  }
  const auto files = TRY(catalog_->PendingFiles(*cursor, kPage));
  if (files.empty()) {
    *cursor = 0;
    return false;
  }
  std::map<int64_t, catalog::Root> roots;
  for (const catalog::Root& root : TRY(catalog_->Roots())) roots[root.id] = root;
  const auto tasks = MakeJobs(files, roots, route);
  if (!tasks.empty()) TRY(queue_->Enqueue(tasks));
  *cursor = files.back().id;
  return true;
}

// What was under way when the queue was lost left its blobs behind, and nobody will come for them.
// They mustn't hold back the tasks that are made anew; as long as they don't they may stay, for a
// queue that was only left may come back, with its tasks.
void Library::DropBlobsOfLostTasks() {
  if (!queue_lost_at_ || blobs_->bytes() <= blobs_->bytes_max() / 4 * 3) return;
  const auto since = std::chrono::steady_clock::now() - *queue_lost_at_;
  const auto removed = blobs_->RemoveOlderThan(std::chrono::duration_cast<Milliseconds>(since));
  if (removed.ok() && *removed > 0) LOG_INFO("{} blobs of lost tasks removed", *removed);
  if (since > kBlobAgeMax) queue_lost_at_.reset();
}

void Library::Reconcile(std::stop_token stop) {
  catalog::FileId cursor = 0;
  bool at_end = false;
  SteadyTime pass_at = std::chrono::steady_clock::now();
  SteadyTime tidy_at{};
  SteadyTime retry_at{};
  while (!stop.stop_requested()) {
    const auto now = std::chrono::steady_clock::now();
    const Result<bool> lost = GuardAgainstLostQueue();
    if (lost.ok() && *lost) {
      // Nothing of what was walked over is queued any more.
      cursor = 0;
      at_end = false;
    }
    Result<> done = lost.ok() ? Result<>(Ok{}) : Result<>(lost.error());
    if (done.ok()) done = queue_->Maintain(options_.retention);
    if (done.ok() && (!at_end || now - pass_at > kFullPassEvery)) {
      if (at_end) pass_at = now;
      at_end = false;
      while (!stop.stop_requested()) {
        auto more = ReconcileStep(&cursor);
        if (!more.ok()) {
          done = more.error();
          break;
        }
        if (*more) continue;
        at_end = cursor == 0;
        break;
      }
    }
    DropBlobsOfLostTasks();
    if (now >= tidy_at) {
      tidy_at = now + kTidyEvery;
      (void)blobs_->RemoveOlderThan(kBlobAgeMax);
      auto purged = catalog_->PurgeOrphans(kOrphanAge);
      if (!purged.ok()) done = purged.error();
      auto swept = thumbnails_.Sweep(
          [this](const Digest& hash) { return catalog_->HasContent(hash, "", ""); }, kBlobAgeMax);
      if (!swept.ok()) done = swept.error();
    }
    if (now >= retry_at) {
      retry_at = now + kRetryEvery;
      for (const Code code : {Code::kUnavailable, Code::kExhausted}) {
        catalog::FailureFilter failed;
        failed.code = CodeName(code);
        const auto retried = catalog_->RetryFailures(failed);
        if (!retried.ok()) done = retried.error();
        if (!retried.ok() || *retried == 0) continue;
        LOG_INFO("{} that failed because something was {} are tried again", *retried,
                 code == Code::kUnavailable ? "away" : "full");
        readings_.Restart();
        at_end = false;
      }
    }
    if (done.ok()) done = readings_.Step(EmbedsWith());
    SwitchModelIfReady();
    UpdateBuilds();
    if (!done.ok()) LOG_WARNING("reconciler: {}", done.message());
    std::unique_lock lock(mutex_);
    problem_ = done.ok() ? "" : done.message();
    poked_.wait_for(lock, stop, kStepEvery, [&] { return poke_; });
    if (std::exchange(poke_, false)) at_end = false;
  }
}

}  // namespace msearch::ingest
