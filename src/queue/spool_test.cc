#include "queue/spool.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "queue/worker.h"
#include "support/queue_conformance.h"

namespace msearch::queue {
namespace {

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() : queue_(Open()) {}
  std::unique_ptr<TaskQueue> Open() {
    EmbeddedOptions options;
    options.path = directory_.path() + "/queue.db";
    auto queue = OpenEmbeddedQueue(options);
    EXPECT_TRUE(queue.ok()) << queue.message();
    return *std::move(queue);
  }
  std::string folder() const { return directory_.path() + "/spool"; }
  Lease TakeOne(Milliseconds duration = Milliseconds(60000)) {
    LeaseRequest request;
    request.worker = "w";
    request.queues = {"tasks"};
    request.duration = duration;
    auto leases = queue_->TakeLeases(request);
    EXPECT_TRUE(leases.ok() && leases->size() == 1);
    return leases->front();
  }

  TemporaryDirectory directory_;
  std::unique_ptr<TaskQueue> queue_;
};

TEST_F(SpoolTest, WhatOneProcessKeptAnotherDelivers) {
  const auto id = queue_->Enqueue(MakeTask());
  NewTask next = MakeTask("next", Priority::kHigh);
  next.queue = "later";
  next.unique_key = "file:1:1";
  next.dead_letter = {"commit", "failed"};
  next.retry.errors_max = 1000;
  const std::vector<Completion> done{{TakeOne(), Json{{"answer", 42}}, {next}}};
  EXPECT_NE(Spool(folder()).Keep(done), "");

  EXPECT_EQ(Spool(folder()).Deliver(*queue_), 1);
  const auto task = queue_->Get(*id);
  EXPECT_EQ(task->status, Status::kFinished);
  EXPECT_EQ((*task->result)["answer"], 42);
  TaskFilter later;
  later.queue = "later";
  const auto follow_ups = queue_->List(later);
  ASSERT_EQ(follow_ups->size(), 1U);
  EXPECT_EQ(follow_ups->front().kind, "next");
  EXPECT_EQ(follow_ups->front().priority, Priority::kHigh);
  EXPECT_EQ(follow_ups->front().unique_key, "file:1:1");
  EXPECT_EQ(follow_ups->front().retry.errors_max, 1000);
  EXPECT_EQ(Spool(folder()).Deliver(*queue_), 0) << "once is enough";
}

TEST_F(SpoolTest, AResultWhoseLeaseWasLostIsDropped) {
  ASSERT_TRUE(queue_->Enqueue(MakeTask()).ok());
  const Lease lost = TakeOne();
  ASSERT_TRUE(queue_->Release(lost, Milliseconds(0)).ok());
  TakeOne();
  Spool spool(folder());
  spool.Keep(std::vector<Completion>{{lost, Json::object(), {}}});
  EXPECT_EQ(spool.Deliver(*queue_), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder()));
}

TEST_F(SpoolTest, ADamagedFileHarmsNothing) {
  Spool spool(folder());
  ASSERT_TRUE(WriteFileAtomically(folder() + "/t1.cbor", "broken").ok());
  EXPECT_EQ(spool.Deliver(*queue_), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder()));
}

TEST_F(SpoolTest, WithoutAFolderNothingIsKept) {
  ASSERT_TRUE(queue_->Enqueue(MakeTask()).ok());
  Spool spool("");
  EXPECT_EQ(spool.Keep(std::vector<Completion>{{TakeOne(), Json::object(), {}}}), "");
}

}  // namespace
}  // namespace msearch::queue
