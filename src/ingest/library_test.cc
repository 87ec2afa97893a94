#include "ingest/library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/file.h"

namespace msearch::ingest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAreArray;

// The real queue, and how often it was asked what costs it most.
class CountedQueue final : public queue::TaskQueue {
 public:
  explicit CountedQueue(std::unique_ptr<queue::TaskQueue> queue) : queue_(std::move(queue)) {}

  using TaskQueue::Enqueue;
  Result<std::vector<queue::TaskId>> Enqueue(std::span<const queue::NewTask> tasks) override {
    return queue_->Enqueue(tasks);
  }
  Result<std::vector<queue::Lease>> TakeLeases(const queue::LeaseRequest& request) override {
    return queue_->TakeLeases(request);
  }
  Result<std::vector<Held>> Extend(std::span<const queue::Lease> leases,
                                   Milliseconds duration) override {
    return queue_->Extend(leases, duration);
  }
  Result<std::vector<Result<>>> Complete(std::span<const queue::Completion> completions) override {
    return queue_->Complete(completions);
  }
  Result<> Fail(const queue::Failure& failure) override { return queue_->Fail(failure); }
  Result<> Release(const queue::Lease& lease, Milliseconds delay) override {
    return queue_->Release(lease, delay);
  }
  Result<> SetProgress(const queue::Lease& lease, const queue::Progress& progress) override {
    return queue_->SetProgress(lease, progress);
  }
  Result<> Cancel(const queue::TaskId& id) override { return queue_->Cancel(id); }
  Result<> Retry(const queue::TaskId& id) override { return queue_->Retry(id); }
  Result<queue::Task> Get(const queue::TaskId& id) override { return queue_->Get(id); }
  Result<std::vector<queue::Task>> List(const queue::TaskFilter& filter) override {
    return queue_->List(filter);
  }
  Result<int64_t> Count(const queue::TaskFilter& filter) override { return queue_->Count(filter); }
  Result<std::vector<queue::TaskEvent>> Events(const queue::TaskId& id) override {
    return queue_->Events(id);
  }
  Result<queue::Task> Await(const queue::TaskId& id, Milliseconds wait_max,
                            std::stop_token stop) override {
    return queue_->Await(id, wait_max, stop);
  }
  Result<std::vector<queue::QueueStats>> Stats() override {
    ++stats_asked;
    return queue_->Stats();
  }
  Result<> Pause(const std::string& name) override { return queue_->Pause(name); }
  Result<> Resume(const std::string& name) override { return queue_->Resume(name); }
  Result<> Heartbeat(const queue::WorkerInfo& worker, Milliseconds ttl) override {
    return queue_->Heartbeat(worker, ttl);
  }
  Result<> Forget(const std::string& id) override { return queue_->Forget(id); }
  Result<std::vector<queue::WorkerInfo>> Workers() override {
    ++workers_asked;
    return queue_->Workers();
  }
  Result<> Maintain(const queue::Retention& retention) override {
    return queue_->Maintain(retention);
  }
  Result<> RaiseEpoch(uint64_t epoch) override { return queue_->RaiseEpoch(epoch); }
  Result<std::string> StateId() override { return queue_->StateId(); }

  std::atomic<int> stats_asked = 0;
  std::atomic<int> workers_asked = 0;

 private:
  const std::unique_ptr<queue::TaskQueue> queue_;
};

class LibraryTest : public testing::Test {
 protected:
  LibraryTest() {
    catalog_ = catalog::Catalog::OpenSqlite(folder_.path() + "/catalog.db").value();
    queue_ = std::make_shared<CountedQueue>(
        queue::OpenEmbeddedQueue({.path = folder_.path() + "/queue.db"}).value());
    blobs_ = storage::OpenFileBlobStore(folder_.path() + "/blobs", 1 << 24).value();
    LibraryOptions options;
    options.workers_differ = true;
    options.device = "cuda";
    options.build_directory = folder_.path() + "/builds";
    library_ = std::make_unique<Library>(catalog_, queue_, blobs_, std::move(options));
  }

  const TemporaryDirectory folder_;
  std::shared_ptr<catalog::Catalog> catalog_;
  std::shared_ptr<CountedQueue> queue_;
  std::shared_ptr<storage::BlobStore> blobs_;
  std::unique_ptr<Library> library_;  // not started: it does what is called here, and no more
};

TEST_F(LibraryTest, AStatusAsksTheQueueOnce) {
  queue::NewTask task;
  task.queue = "tasks-pdf";
  task.kind = "prepare";
  ASSERT_TRUE(queue_->Enqueue(task).ok());
  const auto status = library_->Status();
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(status->unserved, SizeIs(1));
  EXPECT_THAT(status->roots, IsEmpty());
  EXPECT_EQ(queue_->stats_asked, 1);
  EXPECT_EQ(queue_->workers_asked, 1);
}

TEST_F(LibraryTest, APausedStepLetsNoTaskStartInTheQueuesBesideIt) {
  const auto paused = [&] {
    std::vector<std::string> names;
    const std::vector<queue::QueueStats> all = queue_->Stats().value();
    for (const queue::QueueStats& stats : all) {
      if (stats.paused) names.push_back(stats.name);
    }
    return names;
  };
  const auto take = [&](const std::string& name) {
    queue::LeaseRequest request;
    request.worker = "worker";
    request.queues = {name};
    return queue_->TakeLeases(request).value().size();
  };
  for (const char* name : {"tasks-pdf", "embed-cuda"}) {
    queue::NewTask task;
    task.queue = name;
    task.kind = "any";
    ASSERT_TRUE(queue_->Enqueue(task).ok());
  }
  const auto called = library_->PauseQueue("tasks", true);
  ASSERT_TRUE(called.ok()) << called.message();
  EXPECT_THAT(*called, UnorderedElementsAreArray(PrepareQueues()));
  EXPECT_THAT(paused(), UnorderedElementsAreArray(PrepareQueues()));
  EXPECT_EQ(take("tasks-pdf"), 0U);
  EXPECT_EQ(library_->Status()->problem, "queue tasks is paused");
  ASSERT_TRUE(library_->PauseQueue("tasks", false).ok());
  EXPECT_THAT(paused(), IsEmpty());
  EXPECT_EQ(take("tasks-pdf"), 1U);

  // One of them alone, by its own name.
  ASSERT_TRUE(library_->PauseQueue("tasks-heif", true).ok());
  EXPECT_THAT(paused(), ElementsAre("tasks-heif"));
  ASSERT_TRUE(library_->PauseQueue("embed", true).ok());
  EXPECT_EQ(take("embed-cuda"), 0U);
}

}  // namespace
}  // namespace msearch::ingest
