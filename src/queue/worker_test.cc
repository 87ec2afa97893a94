#include "queue/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <set>
#include <thread>

#include "base/file.h"

namespace msearch::queue {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr Milliseconds kForever{3'600'000};

// Passes on to a real queue, except that some calls find it away.
class ShakyQueue final : public TaskQueue {
 public:
  explicit ShakyQueue(TaskQueue& queue) : queue_(queue) {}
  // So many calls of each kind fail first.
  void StayAwayFor(int calls) { takes_ = completes_ = fails_ = calls; }

  Result<std::vector<TaskId>> Enqueue(std::span<const NewTask> tasks) override {
    return queue_.Enqueue(tasks);
  }
  Result<std::vector<Lease>> TakeLeases(const LeaseRequest& request) override {
    if (takes_-- > 0) return away_;
    return queue_.TakeLeases(request);
  }
  Result<std::vector<Held>> Extend(std::span<const Lease> leases, Milliseconds time) override {
    return queue_.Extend(leases, time);
  }
  Result<std::vector<Result<>>> Complete(std::span<const Completion> completions) override {
    if (completes_-- > 0) return away_;
    return queue_.Complete(completions);
  }
  Result<> Fail(const Failure& failure) override {
    if (fails_-- > 0) return away_;
    return queue_.Fail(failure);
  }
  Result<> Release(const Lease& lease, Milliseconds delay) override {
    return queue_.Release(lease, delay);
  }
  Result<> SetProgress(const Lease& lease, const Progress& progress) override {
    return queue_.SetProgress(lease, progress);
  }
  Result<> Cancel(const TaskId& id) override { return queue_.Cancel(id); }
  Result<> Retry(const TaskId& id) override { return queue_.Retry(id); }
  Result<Task> Get(const TaskId& id) override { return queue_.Get(id); }
  Result<std::vector<Task>> List(const TaskFilter& filter) override { return queue_.List(filter); }
  Result<int64_t> Count(const TaskFilter& filter) override { return queue_.Count(filter); }
  Result<std::vector<TaskEvent>> Events(const TaskId& id) override { return queue_.Events(id); }
  Result<Task> Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) override {
    return queue_.Await(id, wait_max, stop);
  }
  Result<std::vector<QueueStats>> Stats() override { return queue_.Stats(); }
  Result<> Pause(const std::string& queue) override { return queue_.Pause(queue); }
  Result<> Resume(const std::string& queue) override { return queue_.Resume(queue); }
  Result<> Heartbeat(const WorkerInfo& worker, Milliseconds ttl) override {
    return queue_.Heartbeat(worker, ttl);
  }
  Result<> Forget(const std::string& id) override { return queue_.Forget(id); }
  Result<std::vector<WorkerInfo>> Workers() override { return queue_.Workers(); }
  Result<> Maintain(const Retention& retention) override { return queue_.Maintain(retention); }
  Result<> RaiseEpoch(uint64_t epoch) override { return queue_.RaiseEpoch(epoch); }
  Result<std::string> StateId() override { return queue_.StateId(); }

 private:
  TaskQueue& queue_;
  const Error away_{Code::kUnavailable, "back end: away"};
  std::atomic<int> takes_{0};
  std::atomic<int> completes_{0};
  std::atomic<int> fails_{0};
};

// Runs a worker in a thread of its own until the object goes.
class RunningWorker {
 public:
  RunningWorker(TaskQueue& queue, WorkerOptions options, Milliseconds grace = kForever)
      : thread_([this, &queue, options = std::move(options), grace] {
          RunWorker(queue, options, stop_.get_token(), grace);
        }) {}
  ~RunningWorker() { Stop(); }
  void AskToStop() { stop_.request_stop(); }
  void Stop() {
    stop_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::stop_source stop_;
  std::thread thread_;
};

class Worker : public testing::Test {
 protected:
  Worker() {
    EmbeddedOptions embedded;
    embedded.path = directory_.path() + "/queue.db";
    auto opened = OpenEmbeddedQueue(embedded);
    EXPECT_TRUE(opened.ok());
    queue_ = *std::move(opened);
    options_.info.id = "host:1:task_worker:0";
    options_.info.role = "task_worker";
    options_.queues = {"tasks"};
  }

  TaskId Add(const std::string& kind, NewTask task = {}) {
    task.queue = "tasks";
    task.kind = kind;
    const auto id = queue_->Enqueue(task);
    EXPECT_TRUE(id.ok());
    return *id;
  }
  // The task once it has ended.
  Task Ended(const TaskId& id) {
    const auto task = queue_->Await(id, kForever, {});
    EXPECT_TRUE(task.ok());
    return *task;
  }
  Task Get(const TaskId& id) { return *queue_->Get(id); }

  // Handles every task alone.
  void Handle(const std::string& kind, std::function<Outcome(TaskContext&)> handle) {
    options_.handlers[kind] = [handle](std::span<const std::unique_ptr<TaskContext>> tasks) {
      std::vector<Outcome> outcomes;
      for (const auto& task : tasks) outcomes.push_back(handle(*task));
      return outcomes;
    };
  }
  // Works until it should stop, and tells then.
  void HandleUntilStopped(const std::string& kind) {
    Handle(kind, [this](TaskContext& context) {
      started_.count_down();
      std::mutex mutex;
      std::condition_variable_any changed;
      std::unique_lock lock(mutex);
      changed.wait(lock, context.stop_token(), [] { return false; });
      EXPECT_TRUE(context.ShouldStop());
      return Outcome();
    });
  }

  TemporaryDirectory directory_;
  std::unique_ptr<TaskQueue> queue_;
  WorkerOptions options_;
  std::latch started_{1};
};

TEST_F(Worker, CompletesTasksWithResultAndFollowUps) {
  Handle("first", [](TaskContext& context) {
    Outcome outcome;
    outcome.result = {{"echo", context.lease().task.payload["n"]}};
    NewTask next;
    next.queue = "tasks";
    next.kind = "second";
    next.parent = context.lease().task.id;
    outcome.follow_ups = {next};
    return outcome;
  });
  std::promise<TaskId> parent;
  Handle("second", [&](TaskContext& context) {
    parent.set_value(context.lease().task.parent);
    return Outcome();
  });
  const RunningWorker worker(*queue_, options_);
  NewTask task;
  task.payload = {{"n", 7}};
  const TaskId id = Add("first", task);
  EXPECT_EQ(Ended(id).result, Json({{"echo", 7}}));
  EXPECT_EQ(parent.get_future().get(), id);
}

TEST_F(Worker, GroupsABatchByKind) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(Add(i % 2 == 0 ? "even" : "odd"));
  std::mutex mutex;
  std::multiset<std::pair<std::string, size_t>> groups;
  for (const std::string kind : {"even", "odd"}) {
    options_.handlers[kind] = [&, kind](std::span<const std::unique_ptr<TaskContext>> tasks) {
      for (const auto& task : tasks) EXPECT_EQ(task->lease().task.kind, kind);
      const std::lock_guard lock(mutex);
      groups.emplace(kind, tasks.size());
      return std::vector<Outcome>(tasks.size());
    };
  }
  options_.batch_max = 6;
  const RunningWorker worker(*queue_, options_);
  for (const TaskId& id : ids) EXPECT_EQ(Ended(id).status, Status::kFinished);
  const std::lock_guard lock(mutex);
  EXPECT_THAT(groups, ElementsAre(std::pair("even", 3), std::pair("odd", 3)));
}

TEST_F(Worker, BusyQueueDoesNotStarveTheOthers) {
  TaskId last;
  for (int i = 0; i < 30; ++i) last = Add("work");
  NewTask other;
  other.queue = "others";
  other.kind = "work";
  ASSERT_TRUE(queue_->Enqueue(other).ok());
  std::mutex mutex;
  std::vector<std::string> order;
  Handle("work", [&](TaskContext& context) {
    const std::lock_guard lock(mutex);
    order.push_back(context.lease().task.queue);
    return Outcome();
  });
  options_.queues = {"tasks", "others"};
  const RunningWorker worker(*queue_, options_);
  Ended(last);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(std::find(order.begin(), order.end(), "others") - order.begin(), 4);
}

TEST_F(Worker, UnknownKindFailsAsUnsupported) {
  const RunningWorker worker(*queue_, options_);
  const Task task = Ended(Add("mystery"));
  EXPECT_EQ(task.status, Status::kFailed);
  EXPECT_EQ(task.error->code, Code::kUnsupported);
  EXPECT_THAT(task.error->message, HasSubstr("mystery"));
}

TEST_F(Worker, ErrorsAndReleasesOfABatchAreToldOneByOne) {
  options_.handlers["work"] = [](std::span<const std::unique_ptr<TaskContext>> tasks) {
    std::vector<Outcome> outcomes(tasks.size());
    for (size_t i = 0; i < tasks.size(); ++i) {
      const int what = tasks[i]->lease().task.payload.value("what", 0);
      if (what == 1) outcomes[i].status = Error{Code::kCorrupt, "it: cut off"};
      if (what == 2) outcomes[i].release = true, outcomes[i].delay = kForever;
    }
    return outcomes;
  };
  options_.batch_max = 3;
  std::vector<TaskId> ids;
  for (int what = 0; what < 3; ++what) {
    NewTask task;
    task.payload = {{"what", what}};
    ids.push_back(Add("work", task));
  }
  {
    const RunningWorker worker(*queue_, options_);
    EXPECT_EQ(Ended(ids[0]).status, Status::kFinished);
    EXPECT_EQ(Ended(ids[1]).error->message, "it: cut off");
  }
  EXPECT_EQ(Get(ids[2]).reason, "delayed");
  EXPECT_EQ(Get(ids[2]).attempts, 0);
}

TEST_F(Worker, ResultThatCannotBeStoredFailsTheTask) {
  Handle("work", [](TaskContext&) {
    Outcome outcome;
    outcome.result = {{"bytes", std::string(kPayloadBytesMax, 'x')}};
    return outcome;
  });
  const RunningWorker worker(*queue_, options_);
  EXPECT_EQ(Ended(Add("work")).error->code, Code::kTooLarge);
}

TEST_F(Worker, LeaseIsExtendedWhileTheHandlerIsBusy) {
  options_.lease_duration = Milliseconds(1500);
  Handle("long", [&](TaskContext& context) {
    // Until the lease was extended more than once.
    const UnixMs first = *context.lease().task.lease_until;
    while (Get(context.lease().task.id).lease_until.value_or(INT64_MAX) < first + 900) {
      std::this_thread::yield();
    }
    EXPECT_FALSE(context.ShouldStop());
    return Outcome();
  });
  const RunningWorker worker(*queue_, options_);
  const Task task = Ended(Add("long"));
  EXPECT_EQ(task.status, Status::kFinished);
  EXPECT_EQ(task.losses, 0);
}

TEST_F(Worker, CancelReachesTheHandler) {
  options_.lease_duration = Milliseconds(300);
  HandleUntilStopped("long");
  const RunningWorker worker(*queue_, options_);
  const TaskId id = Add("long");
  started_.wait();
  ASSERT_TRUE(queue_->Cancel(id).ok());
  EXPECT_EQ(Ended(id).status, Status::kCancelled);
}

TEST_F(Worker, AttemptThatTakesTooLongIsEndedAsTimedOut) {
  HandleUntilStopped("long");
  const RunningWorker worker(*queue_, options_);
  NewTask task;
  task.timeout = Milliseconds(30);
  task.retry.errors_max = 1;
  const Task ended = Ended(Add("long", task));
  EXPECT_EQ(ended.status, Status::kFailed);
  EXPECT_EQ(ended.error->code, Code::kTimeout);
  EXPECT_EQ(ended.errors, 1);
}

TEST_F(Worker, StopFinishesTheBatchUnderWay) {
  std::promise<void> go_on;
  Handle("long", [&](TaskContext& context) {
    started_.count_down();
    go_on.get_future().wait();
    EXPECT_FALSE(context.ShouldStop());
    return Outcome();
  });
  RunningWorker worker(*queue_, options_);
  const TaskId id = Add("long");
  started_.wait();
  worker.AskToStop();
  go_on.set_value();
  worker.Stop();
  EXPECT_EQ(Get(id).status, Status::kFinished);
}

TEST_F(Worker, StopGivesBackWhatOutlastsItsGrace) {
  HandleUntilStopped("long");
  options_.batch_max = 2;
  RunningWorker worker(*queue_, options_, Milliseconds(10));
  std::vector<NewTask> tasks(2);
  for (size_t i = 0; i < 2; ++i) {
    tasks[i].queue = "tasks";
    tasks[i].kind = i == 0 ? "long" : "other";
  }
  const auto ids = queue_->Enqueue(tasks);
  started_.wait();
  worker.Stop();
  for (const TaskId& id : *ids) {
    EXPECT_EQ(Get(id).status, Status::kQueued);
    EXPECT_EQ(Get(id).attempts, 0);
    EXPECT_EQ(queue_->Events(id)->back().what, "released");
  }
}

TEST_F(Worker, SurvivesABackEndThatIsAway) {
  ShakyQueue shaky(*queue_);
  shaky.StayAwayFor(2);
  Handle("work", [](TaskContext&) { return Outcome(); });
  Handle("broken", [](TaskContext&) {
    Outcome outcome;
    outcome.status = Error{Code::kInvalid, "it: broken"};
    return outcome;
  });
  const TaskId work = Add("work");
  const TaskId broken = Add("broken");
  const RunningWorker worker(shaky, options_);
  EXPECT_EQ(Ended(work).status, Status::kFinished);
  EXPECT_EQ(Ended(broken).error->message, "it: broken");
  EXPECT_EQ(Get(work).attempts, 1);
}

TEST_F(Worker, ProgressIsPassedOn) {
  std::promise<void> seen;
  Handle("long", [&](TaskContext& context) {
    context.SetProgress({0.25, "decode", "a quarter"});
    seen.get_future().wait();
    return Outcome();
  });
  const RunningWorker worker(*queue_, options_);
  const TaskId id = Add("long");
  while (Get(id).progress.stage != "decode") std::this_thread::yield();
  EXPECT_DOUBLE_EQ(Get(id).progress.fraction, 0.25);
  seen.set_value();
  Ended(id);
}

TEST_F(Worker, IsSeenWhileItRunsAndForgottenAfter) {
  options_.detail = [] { return Json{{"device", "cpu"}}; };
  RunningWorker worker(*queue_, options_);
  while (queue_->Workers()->empty()) std::this_thread::yield();
  const auto workers = queue_->Workers();
  EXPECT_EQ((*workers)[0].id, options_.info.id);
  EXPECT_EQ((*workers)[0].state, "idle");
  const Json& detail = (*workers)[0].detail;
  EXPECT_EQ(GetString(detail, "device"), "cpu");
  EXPECT_EQ(detail["queues"], Json(options_.queues));
  EXPECT_EQ(GetInt(detail, "stale_results"), 0);
  worker.Stop();
  EXPECT_THAT(*queue_->Workers(), SizeIs(0));
}

TEST_F(Worker, TakesNothingWhileItIsNotReady) {
  std::atomic<bool> ready = false;
  options_.ready = [&] { return ready.load(); };
  options_.handlers["wait"] = [](std::span<const std::unique_ptr<TaskContext>> tasks) {
    return std::vector<Outcome>(tasks.size());
  };
  const TaskId id = Add("wait");
  const RunningWorker worker(*queue_, options_);
  while (queue_->Workers()->empty() || (*queue_->Workers())[0].state != "unable") {
    std::this_thread::yield();
  }
  EXPECT_EQ(queue_->Get(id)->status, Status::kQueued);
  ready = true;
  EXPECT_EQ(queue_->Await(id, Milliseconds(20000), {})->status, Status::kFinished);
}

TEST_F(Worker, IdleIsCalledWhileThereIsNothingToDo) {
  std::promise<void> called;
  options_.idle = [&, once = std::make_shared<std::once_flag>()] {
    std::call_once(*once, [&] { called.set_value(); });
  };
  const RunningWorker worker(*queue_, options_);
  called.get_future().wait();
}

}  // namespace
}  // namespace msearch::queue
