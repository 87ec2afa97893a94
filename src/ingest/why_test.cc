#include "ingest/why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "ingest/pipeline.h"
#include "support/manual_clock.h"

namespace msearch::ingest {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Why : public testing::Test {
 protected:
  Why() {
    queue::EmbeddedOptions options;
    options.path = directory_.path() + "/queue.db";
    options.clock = &clock_;
    auto opened = queue::OpenEmbeddedQueue(options);
    EXPECT_TRUE(opened.ok()) << opened.message();
    queue_ = *std::move(opened);
  }
  queue::TaskId Add(queue::NewTask task) {
    if (task.queue.empty()) task.queue = "embed";
    if (task.kind.empty()) task.kind = "embed";
    auto id = queue_->Enqueue(task);
    EXPECT_TRUE(id.ok()) << id.message();
    return std::move(id).value_or("");
  }
  std::string Ask(const queue::TaskId& id) {
    const auto task = queue_->Get(id);
    EXPECT_TRUE(task.ok());
    return WhyNotDone(*queue_, *task, clock_).value_or("failed");
  }
  void Show(const std::string& id, Json detail, const std::string& state = "idle") {
    queue::WorkerInfo worker;
    worker.id = id;
    worker.role = "embedding_worker";
    worker.state = state;
    detail["queues"] = {"embed"};
    worker.detail = std::move(detail);
    EXPECT_TRUE(queue_->Heartbeat(worker, Milliseconds(60000)).ok());
  }
  static queue::NewTask ForModel(const std::string& name) {
    queue::NewTask task;
    task.payload = {{"job", {{"model", {{"name", name}, {"key", name + "-1"}}}}}};
    return task;
  }

  TemporaryDirectory directory_;
  test::ManualClock clock_;
  std::unique_ptr<queue::TaskQueue> queue_;
};

TEST_F(Why, NobodyServesTheQueue) {
  EXPECT_THAT(Ask(Add({})), HasSubstr("no worker serves queue embed"));
}

TEST_F(Why, NoWorkerOpensTheFormat) {
  Show("w1", Json::object());
  queue::NewTask task;
  task.queue = "tasks-pdf";
  EXPECT_THAT(Ask(Add(task)), HasSubstr("no worker opens PDF documents: install poppler-utils"));
}

TEST_F(Why, NoWorkerHasTheModel) {
  Show("w1", {{"models", {{{"name", "builtin"}, {"key", "builtin-1"}}}}});
  EXPECT_THAT(Ask(Add(ForModel("open-1k"))), HasSubstr("no worker has model open-1k"));
  Show("w2", {{"models", {{{"name", "open-1k"}, {"key", "open-1k-1"}}}}});
  EXPECT_EQ(Ask(Add(ForModel("open-1k"))),
            "1 task is ahead of it in queue embed; workers that serve it: 2");
}

TEST_F(Why, AWorkerThatCouldNotGetTheModelSaysWhatWasWrongThere) {
  const Json full = {{"name", "open-1k"}, {"problem", "open-1k: No space left on device"}};
  Show("w1", {{"models", Json::array()}, {"lacks", full}});
  EXPECT_THAT(Ask(Add(ForModel("open-1k"))),
              AllOf(HasSubstr("no worker has model open-1k"), HasSubstr("No space left")));
  queue::NewTask read;
  read.queue = "read-text";
  read.kind = "read";
  read.payload = {{"reader", "text"}};
  const auto id = Add(read);
  EXPECT_THAT(Ask(id), testing::Not(HasSubstr("No space left"))) << "another model";
  const Json no_reader = {
      {"name", "ocr-pp"}, {"problem", "ocr-pp: No space left on device"}, {"reader", "text"}};
  Show("w1", {{"lacks", Json::array({no_reader})}});
  EXPECT_THAT(Ask(id), AllOf(HasSubstr("no worker reads text"), HasSubstr("No space left")));
}

TEST_F(Why, AllWorkersAreUnable) {
  Show("w1", Json::object(), "unable");
  EXPECT_THAT(Ask(Add({})), HasSubstr("none of the 1 workers of queue embed can take anything"));
}

TEST_F(Why, TheQueueIsPausedOrTheTaskIsDelayedOrWaits) {
  Show("w1", Json::object());
  queue::NewTask delayed;
  delayed.delay = Milliseconds(60000);
  EXPECT_THAT(Ask(Add(delayed)), HasSubstr("it is delayed until"));
  const queue::TaskId first = Add({});
  EXPECT_EQ(Ask(first), "it is the next of queue embed");
  queue::NewTask after;
  after.after = {first};
  EXPECT_THAT(Ask(Add(after)), HasSubstr("it waits for task " + first));
  ASSERT_TRUE(queue_->Pause("embed").ok());
  EXPECT_EQ(Ask(first), "queue embed is paused");
}

TEST_F(Why, ItIsRunningOrItsWorkerIsLost) {
  Show("w1", Json::object());
  const queue::TaskId id = Add({});
  queue::LeaseRequest request;
  request.worker = "w1";
  request.queues = {"embed"};
  request.duration = Milliseconds(15000);
  ASSERT_EQ(queue_->TakeLeases(request)->size(), 1U);
  EXPECT_THAT(Ask(id), AllOf(HasSubstr("leased by w1 until"), HasSubstr("last sign of life")));
  clock_.Advance(Milliseconds(70000));
  EXPECT_THAT(Ask(id), AllOf(HasSubstr("the lease of w1 ran out"),
                             HasSubstr("no sign of life of it is left")));
}

TEST_F(Why, WhatHasFinishedNeedsNoReasonAndWhatWillNotRunHasOne) {
  const auto lease = [&] {
    queue::LeaseRequest request;
    request.worker = "w1";
    request.queues = {"embed"};
    return queue_->TakeLeases(request)->at(0);
  };
  const queue::TaskId cancelled = Add({});
  ASSERT_TRUE(queue_->Cancel(cancelled).ok());
  EXPECT_THAT(Ask(cancelled), HasSubstr("it was cancelled; msearch task retry"));
  const queue::TaskId finished = Add({});
  const queue::Completion done{lease(), Json::object(), {}};
  ASSERT_TRUE(queue_->Complete(std::span(&done, 1)).ok());
  EXPECT_EQ(Ask(finished), "");
  const queue::TaskId corrupt = Add({});
  ASSERT_TRUE(queue_->Fail({lease(), {Code::kCorrupt, "a.jpg: broken"}}).ok());
  EXPECT_THAT(Ask(corrupt), HasSubstr("failed for good after 1 attempt: a.jpg: broken"));
  queue::NewTask poison;
  poison.retry.crashes_max = 1;
  const queue::TaskId quarantined = Add(poison);
  ASSERT_TRUE(queue_->Fail({lease(), {Code::kCrashed, "killed by signal"}}).ok());
  EXPECT_THAT(Ask(quarantined), HasSubstr("it is quarantined, because it killed its child process "
                                          "once: killed by signal"));
}

}  // namespace
}  // namespace msearch::ingest
