#include "answer/outlook.h"

#include <gtest/gtest.h>

#include "answer/request.h"
#include "base/file.h"

namespace msearch::answer {
namespace {

using queue::Priority;

class OutlookTest : public testing::Test {
 protected:
  OutlookTest() {
    queue::EmbeddedOptions options;
    options.path = directory_.path() + "/queue.db";
    queue_ = std::shared_ptr<queue::TaskQueue>(queue::OpenEmbeddedQueue(options).value());
  }
  queue::Task Add(Priority priority = Priority::kNormal) {
    queue::NewTask task;
    task.queue = kAnswerQueue;
    task.kind = kComplete;
    task.priority = priority;
    return queue_->Get(queue_->Enqueue(task).value()).value();
  }
  void AddWorker(const std::string& id) {
    queue::WorkerInfo worker;
    worker.id = id;
    worker.role = RoleOf(kAnswerQueue);
    ASSERT_TRUE(queue_->Heartbeat(worker, Milliseconds(60000)).ok());
  }
  queue::Lease Take() {
    queue::LeaseRequest request;
    request.worker = "one";
    request.queues = {std::string(kAnswerQueue)};
    return queue_->TakeLeases(request).value().at(0);
  }

  TemporaryDirectory directory_;
  std::shared_ptr<queue::TaskQueue> queue_;
};

TEST_F(OutlookTest, EstimateCountsWorkersAndWhatTheyAreBusyWith) {
  Outlook outlook;
  outlook.workers = 2;
  outlook.mean_ms = 100;
  EXPECT_EQ(EndsIn(outlook, 0), 100);
  EXPECT_EQ(EndsIn(outlook, 1), 100);
  EXPECT_EQ(EndsIn(outlook, 2), 200);
  outlook.busy_for_ms = {70};  // one of them is free in 30
  EXPECT_EQ(EndsIn(outlook, 0), 100);
  EXPECT_EQ(EndsIn(outlook, 1), 130);
  EXPECT_EQ(EndsIn(outlook, 3), 230);
  outlook.busy_for_ms = {500, 500};  // overdue: any moment
  EXPECT_EQ(EndsIn(outlook, 0), 100);
}

TEST_F(OutlookTest, TaskOfLowPriorityStandsBehindTheNormalOnes) {
  Lookout lookout(queue_, {});
  EXPECT_EQ(*lookout.AheadOf(Add()), 0);
  EXPECT_EQ(*lookout.AheadOf(Add(Priority::kLow)), 1);
  EXPECT_EQ(*lookout.AheadOf(Add()), 1);
  EXPECT_EQ(*lookout.AheadOf(Add(Priority::kLow)), 3);
  EXPECT_EQ(*lookout.AheadOf(Add(Priority::kHigh)), 0);
}

TEST_F(OutlookTest, ShortLineForgetsWhatWasTaken) {
  Lookout lookout(queue_, {});
  EXPECT_EQ(*lookout.AheadOf(Add()), 0);
  Take();
  EXPECT_EQ(*lookout.AheadOf(Add()), 0);
}

TEST_F(OutlookTest, LongLineIsCountedOn) {
  Lookout lookout(queue_, {});
  for (int64_t i = 0; i < 300; ++i) ASSERT_EQ(*lookout.AheadOf(Add()), i);
}

TEST_F(OutlookTest, UsualTimeIsToldUntilOneHasEnded) {
  const std::string name(kAnswerQueue);
  AddWorker("one");
  Add();
  {
    Lookout lookout(queue_, {{name, 700}});
    const auto outlook = lookout.At(name, false);
    ASSERT_TRUE(outlook.ok());
    EXPECT_EQ(outlook->workers, 1);
    EXPECT_EQ(outlook->mean_ms, 700);
    EXPECT_FALSE(outlook->measured);
  }
  const queue::Lease lease = Take();
  // Its end has to be later than its start to be measured.
  while (SystemClock().NowMs() <= lease.task.started_at.value_or(0) + 1) {
  }
  ASSERT_TRUE(queue_->Complete(std::vector{queue::Completion{lease, {}, {}}}).value()[0].ok());
  Lookout lookout(queue_, {{name, 700}});
  EXPECT_TRUE(lookout.At(name, false)->measured);
  EXPECT_LT(lookout.At(name, false)->mean_ms, 700);
}

}  // namespace
}  // namespace msearch::answer
