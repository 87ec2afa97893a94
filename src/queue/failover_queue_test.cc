// The queue that leaves its server and comes back, with two embedded queues in the two roles, so
// that the server can be taken away at will.

#include "queue/failover_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/queue_conformance.h"

namespace msearch::queue {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using State = FailoverQueue::State;

std::shared_ptr<TaskQueue> OpenAt(const std::string& path, const Clock* clock) {
  EmbeddedOptions options;
  options.path = path;
  options.clock = clock;
  auto queue = OpenEmbeddedQueue(options);
  EXPECT_TRUE(queue.ok()) << queue.message();
  return *std::move(queue);
}

// What every back end must do, it must do too while its server is there. Without it, only that
// nobody knows whether an unknown task is there differs.
class FailoverUnderTest final : public QueueUnderTest {
 public:
  std::unique_ptr<TaskQueue> Open() override {
    FailoverOptions options;
    options.local = OpenAt(directory_.path() + "/local.db", &clock_);
    options.open_shared = [this]() -> Result<std::shared_ptr<TaskQueue>> {
      return OpenAt(directory_.path() + "/shared.db", &clock_);
    };
    options.state_path = directory_.path() + "/state";
    options.owner = std::exchange(first_, false);
    options.look_every = std::chrono::hours(1);
    auto queue = FailoverQueue::Open(options);
    EXPECT_TRUE(queue.ok()) << queue.message();
    return *std::move(queue);
  }

 private:
  bool first_ = true;
  TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Failover, QueueConformance,
                         testing::Values(QueueKind{
                             "failover", [] { return std::make_unique<FailoverUnderTest>(); }}),
                         [](const auto& kind) { return kind.param.name; });

// A server that can be unplugged.
class Server final : public TaskQueue {
 public:
  explicit Server(std::shared_ptr<TaskQueue> queue) : queue_(std::move(queue)) {}
  std::atomic<bool> away = false;
  std::atomic<bool> taken = false;  // by another library

#define UNLESS_AWAY(call)                                                \
  if (away) return Error{Code::kUnavailable, "server: does not answer"}; \
  return queue_->call
  Result<std::vector<TaskId>> Enqueue(std::span<const NewTask> tasks) override {
    UNLESS_AWAY(Enqueue(tasks));
  }
  Result<std::vector<Lease>> TakeLeases(const LeaseRequest& request) override {
    UNLESS_AWAY(TakeLeases(request));
  }
  Result<std::vector<Held>> Extend(std::span<const Lease> leases, Milliseconds time) override {
    UNLESS_AWAY(Extend(leases, time));
  }
  Result<std::vector<Result<>>> Complete(std::span<const Completion> completions) override {
    UNLESS_AWAY(Complete(completions));
  }
  Result<> Fail(const Failure& failure) override { UNLESS_AWAY(Fail(failure)); }
  Result<> Release(const Lease& lease, Milliseconds delay) override {
    UNLESS_AWAY(Release(lease, delay));
  }
  Result<> SetProgress(const Lease& lease, const Progress& progress) override {
    UNLESS_AWAY(SetProgress(lease, progress));
  }
  Result<> Cancel(const TaskId& id) override { UNLESS_AWAY(Cancel(id)); }
  Result<> Retry(const TaskId& id) override { UNLESS_AWAY(Retry(id)); }
  Result<Task> Get(const TaskId& id) override { UNLESS_AWAY(Get(id)); }
  Result<std::vector<Task>> List(const TaskFilter& filter) override { UNLESS_AWAY(List(filter)); }
  Result<int64_t> Count(const TaskFilter& filter) override { UNLESS_AWAY(Count(filter)); }
  Result<std::vector<TaskEvent>> Events(const TaskId& id) override { UNLESS_AWAY(Events(id)); }
  Result<Task> Await(const TaskId& id, Milliseconds wait, std::stop_token stop) override {
    UNLESS_AWAY(Await(id, wait, stop));
  }
  Result<std::vector<QueueStats>> Stats() override { UNLESS_AWAY(Stats()); }
  Result<> Pause(const std::string& queue) override { UNLESS_AWAY(Pause(queue)); }
  Result<> Resume(const std::string& queue) override { UNLESS_AWAY(Resume(queue)); }
  Result<> Heartbeat(const WorkerInfo& worker, Milliseconds ttl) override {
    UNLESS_AWAY(Heartbeat(worker, ttl));
  }
  Result<> Forget(const std::string& id) override { UNLESS_AWAY(Forget(id)); }
  Result<std::vector<WorkerInfo>> Workers() override { UNLESS_AWAY(Workers()); }
  Result<> Maintain(const Retention& retention) override { UNLESS_AWAY(Maintain(retention)); }
  Result<> RaiseEpoch(uint64_t epoch) override { UNLESS_AWAY(RaiseEpoch(epoch)); }
  Result<std::string> StateId() override {
    if (taken) return Error{Code::kConflict, "server: in use by another library"};
    UNLESS_AWAY(StateId());
  }
#undef UNLESS_AWAY

 private:
  const std::shared_ptr<TaskQueue> queue_;
};

class Failover : public testing::Test {
 protected:
  Failover() {
    const std::string shared = directory_.path() + "/shared.db";
    server_ = std::make_shared<Server>(OpenAt(shared, nullptr));
    options_.local = local_ = OpenAt(directory_.path() + "/local.db", nullptr);
    options_.open_shared = [this]() -> Result<std::shared_ptr<TaskQueue>> {
      if (fault_) return *fault_;
      if (server_->away) return Error{Code::kUnavailable, "server: does not answer"};
      return std::shared_ptr<TaskQueue>(server_);
    };
    options_.local_queues = {"scan"};
    options_.rebuilt = {"tasks"};
    options_.state_path = directory_.path() + "/state";
    options_.owner = true;
    options_.server = "Redis at here:1";
    options_.patience = Milliseconds(0);  // each look decides
    options_.look_every = std::chrono::hours(1);
  }

  void Start() {
    auto queue = FailoverQueue::Open(options_);
    ASSERT_TRUE(queue.ok()) << queue.message();
    queue_ = *std::move(queue);
  }
  void StartShared() {
    Start();
    queue_->Look();
    ASSERT_EQ(queue_->state(), State::kShared);
  }
  void TakeServerAway() {
    server_->away = true;
    queue_->Look();
    ASSERT_EQ(queue_->state(), State::kLocal);
  }
  // Looks once; the second look finds out whether all is drained.
  void BringServerBack() {
    server_->away = false;
    queue_->Look();
    ASSERT_EQ(queue_->state(), State::kDraining);
  }
  std::vector<Lease> Take(const std::string& queue, TaskQueue& from) {
    LeaseRequest request;
    request.worker = "w";
    request.queues = {queue};
    auto leases = from.TakeLeases(request);
    EXPECT_TRUE(leases.ok()) << leases.message();
    return leases.ok() ? *std::move(leases) : std::vector<Lease>();
  }
  static NewTask Named(const std::string& queue, const std::string& key = "") {
    NewTask task;
    task.queue = queue;
    task.kind = "work";
    task.unique_key = key;
    return task;
  }
  Result<> Finish(const Lease& lease, std::vector<NewTask> follow_ups = {}) {
    const std::vector<Completion> all{{lease, Json::object(), std::move(follow_ups)}};
    auto answers = queue_->Complete(all);
    return answers.ok() ? answers->front() : answers.error();
  }

  TemporaryDirectory directory_;
  std::shared_ptr<Server> server_;
  std::shared_ptr<TaskQueue> local_;
  std::optional<Error> fault_;
  FailoverOptions options_;
  std::unique_ptr<FailoverQueue> queue_;
};

TEST_F(Failover, WithoutAServerAtTheStartWorkIsLocalAndSaysSo) {
  server_->away = true;
  Start();
  EXPECT_EQ(queue_->state(), State::kLocal);
  EXPECT_THAT(queue_->problem(), HasSubstr("Redis at here:1 is away"));
  ASSERT_TRUE(queue_->Enqueue(Named("embed")).ok());
  EXPECT_THAT(Take("embed", *queue_), SizeIs(1));
}

TEST_F(Failover, WithoutFallBackAMissingServerIsAnError) {
  server_->away = true;
  options_.fall_back = false;
  const auto queue = FailoverQueue::Open(options_);
  ASSERT_FALSE(queue.ok());
  EXPECT_EQ(queue.code(), Code::kUnavailable);
}

TEST_F(Failover, AServerThatWouldLoseTasksIsRefusedRatherThanLeft) {
  fault_ = Error{Code::kInvalid, "redis: maxmemory-policy allkeys-lru loses tasks"};
  const auto queue = FailoverQueue::Open(options_);
  ASSERT_FALSE(queue.ok());
  EXPECT_THAT(queue.message(), HasSubstr("loses tasks"));
}

TEST_F(Failover, ALostServerIsReplacedAndTakenUpAgain) {
  StartShared();
  const auto before = queue_->StateId();
  ASSERT_TRUE(queue_->Enqueue(Named("embed", "before")).ok());
  EXPECT_THAT(Take("embed", *local_), IsEmpty()) << "it belongs to the server";
  TakeServerAway();
  EXPECT_NE(*queue_->StateId(), *before) << "the epoch has to be raised";
  ASSERT_TRUE(queue_->Enqueue(Named("embed", "meanwhile")).ok());
  const auto meanwhile = Take("embed", *queue_);
  ASSERT_THAT(meanwhile, SizeIs(1));
  EXPECT_EQ(meanwhile[0].task.unique_key, "meanwhile");

  BringServerBack();
  EXPECT_EQ(queue_->problem(), "");
  // What began locally ends there.
  EXPECT_TRUE(Finish(meanwhile[0]).ok());
  queue_->Look();
  EXPECT_EQ(queue_->state(), State::kShared);
  EXPECT_EQ(*queue_->StateId(), *before);
  const auto rest = Take("embed", *queue_);
  ASSERT_THAT(rest, SizeIs(1));
  EXPECT_EQ(rest[0].task.unique_key, "before");
}

TEST_F(Failover, AServerThatAnotherLibraryTookIsLeftAtOnce) {
  options_.patience = std::chrono::hours(1);
  Start();
  EXPECT_EQ(queue_->state(), State::kShared);
  server_->taken = true;
  queue_->Look();
  EXPECT_EQ(queue_->state(), State::kLocal);
  EXPECT_THAT(queue_->problem(), HasSubstr("another library"));
  options_.state_path = directory_.path() + "/other";
  EXPECT_EQ(FailoverQueue::Open(options_).code(), Code::kConflict);
}

TEST_F(Failover, WhatWasBegunLocallyIsDrainedFirstAndWhatIsRebuiltIsNot) {
  StartShared();
  TakeServerAway();
  ASSERT_TRUE(queue_->Enqueue(Named("embed", "work done so far")).ok());
  const auto rebuilt = queue_->Enqueue(Named("tasks", "only a row of the catalog"));
  const auto awaited = queue_->Enqueue(Named("tasks"));
  BringServerBack();
  ASSERT_TRUE(queue_->Enqueue(Named("embed", "new")).ok());
  queue_->Look();
  EXPECT_EQ(queue_->state(), State::kDraining);
  EXPECT_EQ(queue_->Get(*rebuilt)->status, Status::kCancelled);
  EXPECT_EQ(queue_->Get(*awaited)->status, Status::kQueued);
  const auto first = Take("embed", *queue_);
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].task.unique_key, "work done so far");
  const auto second = Take("embed", *queue_);
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_EQ(second[0].task.unique_key, "new");
  EXPECT_TRUE(Finish(first[0]).ok());
  EXPECT_TRUE(Finish(second[0]).ok());
  const auto third = Take("tasks", *queue_);
  ASSERT_THAT(third, SizeIs(1));
  EXPECT_TRUE(Finish(third[0]).ok());
  queue_->Look();
  EXPECT_EQ(queue_->state(), State::kShared);
}

TEST_F(Failover, AResultInFlightGoesOnLocally) {
  StartShared();
  ASSERT_TRUE(queue_->Enqueue(Named("embed", "f")).ok());
  const auto lease = Take("embed", *queue_);
  ASSERT_THAT(lease, SizeIs(1));
  server_->away = true;
  // Until the server is given up, the worker keeps its result.
  EXPECT_EQ(Finish(lease[0], {Named("commit", "f")}).code(), Code::kUnavailable);
  queue_->Look();
  ASSERT_EQ(queue_->state(), State::kLocal);
  const auto held = queue_->Extend(lease, Milliseconds(1000));
  ASSERT_TRUE(held.ok());
  EXPECT_TRUE((*held)[0].held);
  EXPECT_TRUE(Finish(lease[0], {Named("commit", "f")}).ok());
  EXPECT_THAT(Take("commit", *queue_), SizeIs(1));
}

TEST_F(Failover, QueuesOfThisMachineNeverLeaveIt) {
  StartShared();
  const auto id = queue_->Enqueue(Named("scan"));
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(local_->Get(*id).ok());
  TakeServerAway();
  EXPECT_THAT(Take("scan", *queue_), SizeIs(1));
  EXPECT_EQ(queue_->Enqueue(std::vector{Named("scan"), Named("embed")}).code(), Code::kInvalid);
}

TEST_F(Failover, ATaskOfAServerThatIsAwayIsUnavailableRatherThanUnknown) {
  StartShared();
  const auto there = queue_->Enqueue(Named("embed"));
  const auto here = queue_->Enqueue(Named("scan"));
  TakeServerAway();
  EXPECT_EQ(queue_->Get(*there).code(), Code::kUnavailable);
  EXPECT_TRUE(queue_->Get(*here).ok());
}

TEST_F(Failover, ListsAndCountsAreOfBoth) {
  StartShared();
  const auto a = queue_->Enqueue(Named("scan"));
  const auto b = queue_->Enqueue(Named("embed"));
  std::vector<TaskId> ids;
  const auto tasks = queue_->List({});
  ASSERT_TRUE(tasks.ok());
  for (const Task& task : *tasks) ids.push_back(task.id);
  // Ids of one millisecond are in no order.
  EXPECT_THAT(ids, UnorderedElementsAre(*b, *a));
  EXPECT_EQ(*queue_->Count({}), 2);
  std::vector<std::string> names;
  const auto all = queue_->Stats();
  ASSERT_TRUE(all.ok());
  for (const QueueStats& stats : *all) names.push_back(stats.name);
  EXPECT_THAT(names, UnorderedElementsAre("scan", "embed"));
}

TEST_F(Failover, WithoutFallBackTheAbsenceIsToldAndForgotten) {
  options_.fall_back = false;
  StartShared();
  EXPECT_EQ(queue_->problem(), "");
  server_->away = true;
  queue_->Look();
  EXPECT_EQ(queue_->state(), State::kShared);
  EXPECT_THAT(queue_->problem(), HasSubstr("redis.fallback is off"));
  EXPECT_EQ(queue_->Enqueue(Named("embed", "x")).code(), Code::kUnavailable);
  server_->away = false;
  queue_->Look();
  EXPECT_EQ(queue_->problem(), "");
}

TEST_F(Failover, OthersOfTheMachineFollowTheOwner) {
  StartShared();
  FailoverOptions other = options_;
  other.owner = false;
  const auto follower = FailoverQueue::Open(other);
  ASSERT_TRUE(follower.ok());
  EXPECT_EQ((*follower)->state(), State::kShared);
  // A wait in the server's queue ends with the switch. One that begins after it gets the local
  // task.
  size_t taken_late = 0;
  std::jthread waiting([&] {
    LeaseRequest request;
    request.worker = "w";
    request.queues = {"embed"};
    request.wait_max = std::chrono::hours(1);
    const auto leases = (*follower)->TakeLeases(request);
    if (leases.ok()) {
      taken_late = leases->size();
    } else {
      EXPECT_EQ(leases.code(), Code::kUnavailable);
    }
  });
  TakeServerAway();
  (*follower)->Look();
  EXPECT_EQ((*follower)->state(), State::kLocal);
  EXPECT_EQ((*follower)->problem(), queue_->problem());
  ASSERT_TRUE(queue_->Enqueue(Named("embed", "meanwhile")).ok());
  waiting.join();
  EXPECT_THAT(Take("embed", **follower), SizeIs(1 - taken_late));
}

}  // namespace
}  // namespace msearch::queue
