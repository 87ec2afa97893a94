#include "answer/desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <future>

#include "queue/worker.h"

namespace msearch::answer {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Milliseconds kForever{60000};

class DeskTest : public testing::Test {
 protected:
  DeskTest() { Open(); }

  void Open() {
    desk_.reset();
    queue::EmbeddedOptions embedded;
    embedded.path = directory_.path() + "/queue.db";
    queue_ = std::shared_ptr<queue::TaskQueue>(queue::OpenEmbeddedQueue(embedded).value());
    options_.journal_path = directory_.path() + "/journal.db";
    options_.upload_directory = directory_.path() + "/asked";
    options_.worker_id = "host:1:controller:0";
    auto desk = Desk::Open(queue_, options_);
    ASSERT_TRUE(desk.ok()) << desk.message();
    desk_ = std::move(*desk);
  }
  static Request Question(const std::string& text) {
    Request request;
    request.kind = kComplete;
    request.question = text;
    return request;
  }
  std::string Accept(const Request& request) {
    auto accepted = desk_->Accept(request, "", "");
    EXPECT_TRUE(accepted.ok());
    return accepted.ok() ? accepted->standing.id : "";
  }
  // Once it has ended.
  Standing Ended(const std::string& id) {
    std::promise<Standing> promise;
    desk_->Watch(id, std::chrono::steady_clock::now() + kForever, true,
                 [&](const Result<Standing>& standing, bool last) {
                   if (!last) return true;
                   EXPECT_TRUE(standing.ok());
                   promise.set_value(standing.ok() ? *standing : Standing());
                   return false;
                 });
    return promise.get_future().get();
  }
  // A worker of all queues that answers with the question, or as told.
  void Work(std::function<queue::Outcome(const queue::TaskContext&)> handle = {}) {
    if (!handle) {
      handle = [](const queue::TaskContext& task) {
        queue::Outcome outcome;
        outcome.result = {{"echo", task.lease().task.payload.value("question", "")}};
        return outcome;
      };
    }
    const queue::BatchHandler all =
        [handle](std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
          std::vector<queue::Outcome> outcomes;
          for (const auto& task : tasks) {
            outcomes.push_back(handle(*task));
            if (!GetBool(task->lease().task.payload, "part").value_or(false)) {
              outcomes.back().follow_ups.push_back(EndedTask(task->lease().task.id));
            }
          }
          return outcomes;
        };
    worker_ = std::jthread([this, all](std::stop_token stop) {
      queue::WorkerOptions worker;
      worker.info.id = "host:2:answer_worker:1";
      worker.info.role = "answer_worker";
      worker.queues = {std::string(kAnalysisQueue), std::string(kAnswerQueue),
                       std::string(kQueryQueue)};
      for (const std::string_view kind : {kAnalyze, kComplete, kFullQuery}) {
        worker.handlers[std::string(kind)] = all;
      }
      queue::RunWorker(*queue_, worker, stop, Milliseconds(1000));
    });
  }
  void StopWorking() { worker_ = {}; }

  TemporaryDirectory directory_;
  DeskOptions options_;
  std::shared_ptr<queue::TaskQueue> queue_;
  std::unique_ptr<Desk> desk_;
  std::jthread worker_;
};

TEST_F(DeskTest, AcceptedRequestIsQueuedInItsPlaceAndAnswered) {
  const std::string first = Accept(Question("one?"));
  auto accepted = desk_->Accept(Question("two?"), "", "");
  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(accepted->standing.status, "queued");
  EXPECT_EQ(accepted->standing.position, 2);
  EXPECT_EQ(accepted->standing.reason, "no worker");
  EXPECT_EQ(desk_->Get(first)->position, 1);
  Work();
  EXPECT_EQ(Ended(first).result["echo"], "one?");
  const Standing second = Ended(accepted->standing.id);
  EXPECT_EQ(second.status, "finished");
  EXPECT_EQ(second.progress, 1);
  EXPECT_EQ(desk_->Get("t00000000000000000000000000").code(), Code::kNotFound);
}

TEST_F(DeskTest, PlaceIsTrueWhenOthersAreCancelledOrTheQueueIsPaused) {
  const std::string first = Accept(Question("one?"));
  const std::string second = Accept(Question("two?"));
  EXPECT_EQ(desk_->Get(second)->position, 2);
  EXPECT_EQ(desk_->Cancel(first)->status, "cancelled");
  EXPECT_EQ(desk_->Get(second)->position, 1);
  EXPECT_EQ(desk_->Cancel(first).code(), Code::kConflict);
  ASSERT_TRUE(queue_->Pause(std::string(kAnswerQueue)).ok());
  EXPECT_EQ(desk_->Get(second)->reason, "paused");
  EXPECT_FALSE(desk_->Get(second)->eta_s.has_value());
}

TEST_F(DeskTest, OneKeyIsOneRequest) {
  const auto first = desk_->Accept(Question("one?"), "key", "digest");
  const auto again = desk_->Accept(Question("one?"), "key", "digest");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_FALSE(first->known);
  EXPECT_TRUE(again->known);
  EXPECT_EQ(first->standing.id, again->standing.id);
  EXPECT_EQ(desk_->Accept(Question("two?"), "key", "other").code(), Code::kConflict);
  EXPECT_EQ(queue_->Count({}).value_or(0), 1);
}

TEST_F(DeskTest, FullQueryIsAFlowOfItsParts) {
  Request request = Question("what is this?");
  request.kind = kFullQuery;
  request.image = {{"media_id", 1}};
  const std::string id = Accept(request);
  Standing standing = *desk_->Get(id);
  ASSERT_THAT(standing.tasks, SizeIs(3));
  EXPECT_EQ(standing.tasks.back(), id);
  EXPECT_EQ(queue_->Get(standing.tasks[0])->queue, kAnalysisQueue);
  EXPECT_EQ(queue_->Get(standing.tasks[1])->queue, kAnswerQueue);
  EXPECT_EQ(queue_->Get(id)->queue, kQueryQueue);
  EXPECT_EQ(queue_->Get(id)->after.size(), 2u);
  EXPECT_EQ(queue_->Get(id)->timeout, kQueryTimeout);
  Work();
  EXPECT_EQ(Ended(id).status, "finished");
}

TEST_F(DeskTest, AnalysisGoesToThoseWhoCanDoIt) {
  options_.analysis_queue = [](const Request& request) {
    return "image_analysis-" + GetString(request.image, "name").value_or("");
  };
  Open();
  queue::WorkerInfo worker;
  worker.id = "worker";
  worker.role = RoleOf(kAnalysisQueue);
  worker.detail = {{"queues", {"image_analysis", "image_analysis-picture"}}};
  ASSERT_TRUE(queue_->Heartbeat(worker, kForever).ok());
  for (const char* kind : {"analyze_image", "full_query"}) {
    Request request = Question("what is this?");
    request.kind = kind;
    request.image = {{"upload", "0"}, {"name", "heif"}};
    const Standing standing = *desk_->Get(Accept(request));
    EXPECT_EQ(queue_->Get(standing.tasks[0])->queue, "image_analysis-heif");
    EXPECT_EQ(standing.reason, "no worker");
  }
  Request request;
  request.kind = kAnalyze;
  request.image = {{"upload", "0"}, {"name", "picture"}};
  EXPECT_EQ(desk_->Get(Accept(request))->reason, "");
}

TEST_F(DeskTest, FlowEndsWhenAllItsPartsHave) {
  options_.usual_ms = {{std::string(kAnalysisQueue), 2000},
                       {std::string(kAnswerQueue), 300},
                       {std::string(kQueryQueue), 40}};
  Open();
  for (const std::string_view queue : {kAnalysisQueue, kAnswerQueue}) {
    queue::WorkerInfo worker;
    worker.id = worker.role = RoleOf(queue);
    ASSERT_TRUE(queue_->Heartbeat(worker, kForever).ok());
  }
  Request request = Question("what is this?");
  request.kind = kFullQuery;
  request.image = {{"media_id", 1}};
  const auto accepted = desk_->Accept(request, "", "");
  ASSERT_TRUE(accepted.ok());
  for (const Standing& standing : {accepted->standing, *desk_->Get(accepted->standing.id)}) {
    EXPECT_EQ(standing.position, 1);
    EXPECT_DOUBLE_EQ(standing.eta_s.value_or(0), 2.34);
    EXPECT_FALSE(standing.eta_measured);
  }
  // A part that comes later holds it up, too.
  ASSERT_TRUE(queue_->Pause(std::string(kAnswerQueue)).ok());
  Open();
  const Standing standing = *desk_->Get(accepted->standing.id);
  EXPECT_EQ(standing.reason, "paused");
  EXPECT_FALSE(standing.eta_s.has_value());
}

TEST_F(DeskTest, CancellingAFlowCancelsItsParts) {
  Request request = Question("what is this?");
  request.kind = kFullQuery;
  request.image = {{"media_id", 1}};
  const std::string id = Accept(request);
  const auto cancelled = desk_->Cancel(id);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->status, "cancelled");
  for (const queue::TaskId& task : cancelled->tasks) {
    EXPECT_NE(queue_->Get(task)->status, queue::Status::kQueued);
  }
}

TEST_F(DeskTest, WhatTheQueueLosesIsQueuedAgainUnderTheSameId) {
  const std::string id = Accept(Question("one?"));
  desk_.reset();
  queue_.reset();
  for (const char* file : {"/queue.db", "/queue.db-wal", "/queue.db-shm", "/queue.db.wake"}) {
    std::filesystem::remove(directory_.path() + file);
  }
  Open();
  Work();
  const Standing standing = Ended(id);
  EXPECT_EQ(standing.id, id);
  EXPECT_EQ(standing.result["echo"], "one?");
}

TEST_F(DeskTest, ResultOutlivesTheQueue) {
  Work();
  const std::string id = Accept(Question("one?"));
  EXPECT_EQ(Ended(id).status, "finished");
  StopWorking();
  desk_.reset();
  queue_.reset();
  for (const char* file : {"/queue.db", "/queue.db-wal", "/queue.db-shm", "/queue.db.wake"}) {
    std::filesystem::remove(directory_.path() + file);
  }
  Open();
  EXPECT_EQ(desk_->Get(id)->result["echo"], "one?");
}

TEST_F(DeskTest, FailureIsToldWithItsReason) {
  Work([](const queue::TaskContext&) {
    queue::Outcome outcome;
    outcome.status = Error{Code::kCorrupt, "picture: broken"};
    return outcome;
  });
  Request request;
  request.kind = kAnalyze;
  request.image = {{"media_id", 1}};
  const Standing standing = Ended(Accept(request));
  EXPECT_EQ(standing.status, "failed");
  ASSERT_TRUE(standing.error.has_value());
  EXPECT_THAT(standing.error->message, HasSubstr("broken"));
}

TEST_F(DeskTest, ResultsGoAfterTheirTime) {
  options_.result_age = Milliseconds(0);
  Open();
  Work();
  const std::string id = Accept(Question("one?"));
  EXPECT_TRUE(Ended(id).ended());
  EXPECT_TRUE(desk_->Get(id)->gone);
}

TEST_F(DeskTest, TextThatIsBeingWrittenIsSeen) {
  Work([](const queue::TaskContext& task) {
    const_cast<queue::TaskContext&>(task).SetProgress({0.5, "writing", "Half of it"});
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait_for(lock, task.stop_token(), kForever, [] { return false; });
    return queue::Outcome();
  });
  const std::string id = Accept(Question("one?"));
  std::promise<std::string> seen;
  desk_->Watch(id, std::chrono::steady_clock::now() + kForever, false,
               [&](const Result<Standing>& standing, bool) {
                 if (!standing.ok() || standing->partial.empty()) return true;
                 seen.set_value(standing->partial);
                 return false;
               });
  EXPECT_EQ(seen.get_future().get(), "Half of it");
  EXPECT_EQ(desk_->Cancel(id)->status, "cancelled");
}

TEST_F(DeskTest, WhoWatchesHearsThatSomebodyIsThere) {
  options_.keep_alive = Milliseconds(10);
  Open();
  const std::string id = Accept(Question("one?"));
  std::promise<void> promise;
  int told = 0;
  desk_->Watch(id, std::chrono::steady_clock::now() + kForever, false,
               [&](const Result<Standing>& standing, bool) {
                 EXPECT_TRUE(standing.ok());
                 if (++told < 3) return true;
                 promise.set_value();
                 return false;
               });
  EXPECT_EQ(promise.get_future().wait_for(kForever), std::future_status::ready);
}

TEST_F(DeskTest, UploadsAreBoundedAndGoWithTheirRequest) {
  options_.upload_bytes_max = 10;
  Open();
  const auto upload = desk_->KeepUpload("12345678");
  ASSERT_TRUE(upload.ok());
  EXPECT_EQ(desk_->KeepUpload("12345678").code(), Code::kExhausted);
  Request request;
  request.kind = kAnalyze;
  request.image = {{"upload", *upload}};
  const std::string id = Accept(request);
  Open();  // a restart keeps what an open request names
  EXPECT_TRUE(desk_->OpenUpload(*upload).ok());
  EXPECT_EQ(desk_->KeepUpload("12345678").code(), Code::kExhausted);
  EXPECT_TRUE(desk_->Cancel(id).ok());
  EXPECT_EQ(desk_->OpenUpload(*upload).code(), Code::kNotFound);
  EXPECT_TRUE(desk_->KeepUpload("12345678").ok());
  EXPECT_EQ(desk_->OpenUpload("../journal.db").code(), Code::kNotFound);
  Open();  // and removes what nobody names
  EXPECT_TRUE(std::filesystem::is_empty(options_.upload_directory));
}

TEST_F(DeskTest, MoreThanMayWaitIsRefused) {
  options_.open_max = 2;
  Open();
  Accept(Question("one?"));
  const std::string second = Accept(Question("two?"));
  EXPECT_EQ(desk_->Accept(Question("three?"), "", "").code(), Code::kExhausted);
  EXPECT_TRUE(desk_->Cancel(second).ok());
  EXPECT_TRUE(desk_->Accept(Question("three?"), "", "").ok());
}

}  // namespace
}  // namespace msearch::answer
