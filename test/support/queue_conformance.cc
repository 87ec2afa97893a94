#include "support/queue_conformance.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <thread>

namespace msearch::queue {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// An instance of the suite is somebody else's.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(QueueConformance);

namespace {

constexpr Milliseconds kLease{15000};

LeaseRequest Request(size_t count_max, const std::string& queue) {
  LeaseRequest request;
  request.worker = "worker-1";
  request.queues = {queue};
  request.count_max = count_max;
  request.duration = kLease;
  return request;
}

std::vector<TaskId> Ids(const std::vector<Task>& tasks) {
  std::vector<TaskId> ids;
  for (const Task& task : tasks) ids.push_back(task.id);
  return ids;
}

}  // namespace

NewTask MakeTask(const std::string& kind, Priority priority) {
  NewTask task;
  task.queue = "tasks";
  task.kind = kind;
  task.priority = priority;
  return task;
}

TaskId QueueConformance::Add(NewTask task) {
  const Result<TaskId> id = queue_->Enqueue(task);
  EXPECT_TRUE(id.ok()) << id.message();
  return id.ok() ? *id : TaskId();
}
TaskId QueueConformance::Add(const std::string& kind) { return Add(MakeTask(kind)); }

std::vector<Lease> QueueConformance::Take(size_t count_max, const std::string& queue) {
  auto leases = queue_->TakeLeases(Request(count_max, queue));
  EXPECT_TRUE(leases.ok()) << leases.message();
  return leases.ok() ? *std::move(leases) : std::vector<Lease>();
}

Lease QueueConformance::TakeOne() {
  std::vector<Lease> leases = Take();
  EXPECT_THAT(leases, SizeIs(1));
  return leases.empty() ? Lease() : leases[0];
}

Task QueueConformance::Get(const TaskId& id) {
  Result<Task> task = queue_->Get(id);
  EXPECT_TRUE(task.ok()) << task.message();
  return task.ok() ? *std::move(task) : Task();
}

Result<> QueueConformance::Finish(const Lease& lease, std::vector<NewTask> follow_ups) {
  const Completion completion{lease, {{"done", true}}, std::move(follow_ups)};
  auto answers = queue_->Complete(std::span(&completion, 1));
  if (!answers.ok()) return answers.error();
  return (*answers)[0];
}

Result<> QueueConformance::Fail(const Lease& lease, Code code, const std::string& message) {
  return queue_->Fail({lease, {code, message}});
}

QueueStats QueueConformance::Stats(const std::string& queue) {
  const auto all = queue_->Stats();
  EXPECT_TRUE(all.ok());
  for (const QueueStats& stats : *all) {
    if (stats.name == queue) return stats;
  }
  return {};
}

std::vector<std::string> QueueConformance::History(const TaskId& id) {
  const auto events = queue_->Events(id);
  EXPECT_TRUE(events.ok());
  std::vector<std::string> history;
  for (const TaskEvent& event : *events) history.push_back(event.what);
  return history;
}

// --- Enqueue, lease, complete

TEST_P(QueueConformance, TaskIsLeasedAsItWasEnqueued) {
  NewTask task = MakeTask("prepare", Priority::kHigh);
  task.payload = {{"path", "图片/一.jpg"}, {"n", 3}};
  task.timeout = Milliseconds(1234);
  task.retry.errors_max = 7;
  task.parent = "tparent";
  const TaskId id = Add(task);
  EXPECT_EQ(id.size(), 27U);
  EXPECT_EQ(id[0], 't');

  const Lease lease = TakeOne();
  EXPECT_EQ(lease.worker, "worker-1");
  EXPECT_EQ(lease.task.id, id);
  EXPECT_EQ(lease.task.queue, "tasks");
  EXPECT_EQ(lease.task.kind, "prepare");
  EXPECT_EQ(lease.task.payload, task.payload);
  EXPECT_EQ(lease.task.priority, Priority::kHigh);
  EXPECT_EQ(lease.task.timeout, task.timeout);
  EXPECT_EQ(lease.task.retry.errors_max, 7);
  EXPECT_EQ(lease.task.retry.backoff_max, RetryPolicy().backoff_max);
  EXPECT_EQ(lease.task.parent, "tparent");
  EXPECT_EQ(lease.task.status, Status::kStarted);
  EXPECT_EQ(lease.task.lease_until, Now() + kLease.count());

  const Task seen = Get(id);
  EXPECT_EQ(seen.status, Status::kStarted);
  EXPECT_EQ(seen.worker, "worker-1");
  EXPECT_EQ(seen.created_at, Now());
  EXPECT_EQ(seen.started_at, Now());
}

TEST_P(QueueConformance, CompletedTaskKeepsItsResult) {
  const TaskId id = Add();
  const Lease lease = TakeOne();
  Advance(Milliseconds(40));
  ASSERT_TRUE(Finish(lease).ok());
  const Task task = Get(id);
  EXPECT_EQ(task.status, Status::kFinished);
  EXPECT_EQ(task.result, Json({{"done", true}}));
  EXPECT_EQ(task.finished_at, Now());
  EXPECT_EQ(task.attempts, 1);
  EXPECT_FALSE(task.lease_until.has_value());
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_THAT(History(id), ElementsAre("enqueued", "started", "finished"));
}

TEST_P(QueueConformance, IdsGrowInOrderOfCreation) {
  std::vector<NewTask> tasks(20, MakeTask());
  const auto first = queue_->Enqueue(tasks);
  Advance(Milliseconds(5));
  const auto second = queue_->Enqueue(tasks);
  ASSERT_TRUE(first.ok() && second.ok());
  std::vector<TaskId> ids = *first;
  ids.insert(ids.end(), second->begin(), second->end());
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(std::set<TaskId>(ids.begin(), ids.end()).size(), 40U);
}

TEST_P(QueueConformance, EnqueueTakesAllOrNone) {
  std::vector<NewTask> tasks{MakeTask(), MakeTask()};
  tasks[1].queue = "No Such Name!";
  const auto refused = queue_->Enqueue(tasks);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.code(), Code::kInvalid);
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_P(QueueConformance, PayloadBeyondTheLimitIsRefused) {
  NewTask task = MakeTask();
  task.payload = {{"bytes", std::string(kPayloadBytesMax, 'x')}};
  const auto refused = queue_->Enqueue(task);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.code(), Code::kTooLarge);
  task.payload = {{"bytes", std::string(kPayloadBytesMax - 100, 'x')}};
  Add(task);
  EXPECT_EQ(TakeOne().task.payload, task.payload);
}

// Back ends may store small ones otherwise than large ones.
TEST_P(QueueConformance, PayloadOfAnySizeComesBack) {
  for (size_t size = 1; size < 700; size += 3) {
    NewTask task = MakeTask();
    task.payload = {{"text", std::string(size, 'x')}};
    Add(task);
    EXPECT_EQ(TakeOne().task.payload, task.payload) << size;
  }
}

TEST_P(QueueConformance, LongPayloadIsLikeAnyOther) {
  NewTask task = MakeTask();
  task.payload = {{"text", std::string(30000, 'x') + "giraffe"}};
  task.dead_letter = {"letters", "failed"};
  const TaskId id = Add(task);
  TaskFilter filter;
  filter.text = "giraffe";
  EXPECT_THAT(Ids(*queue_->List(filter)), ElementsAre(id));
  ASSERT_TRUE(queue_->Release(TakeOne()).ok());
  const Lease lease = TakeOne();
  EXPECT_EQ(lease.task.payload, task.payload);
  ASSERT_TRUE(Fail(lease, Code::kCorrupt).ok());
  EXPECT_EQ(Take(1, "letters").at(0).task.payload["payload"], task.payload);
  Advance(Milliseconds(1000));
  ASSERT_TRUE(queue_->Maintain({Milliseconds(0), Milliseconds(0), 100}).ok());
  filter.status = Status::kFailed;
  EXPECT_EQ(*queue_->Count(filter), 0);
}

TEST_P(QueueConformance, UnknownTaskIsNotFound) {
  for (const std::string id :
       {"", "t", "x01JZZZZZZZZZZZZZZZZZZZZZZZ", "t01JZZZZZZZZZZZZZZZZZZZZZZZ"}) {
    EXPECT_EQ(queue_->Get(id).code(), Code::kNotFound);
    EXPECT_EQ(queue_->Events(id).code(), Code::kNotFound);
    EXPECT_EQ(queue_->Cancel(id).code(), Code::kNotFound);
    EXPECT_EQ(queue_->Retry(id).code(), Code::kNotFound);
  }
}

TEST_P(QueueConformance, BatchTakesUpToSoManyOfOneQueue) {
  for (int i = 0; i < 5; ++i) Add();
  NewTask other = MakeTask();
  other.queue = "other";
  Add(other);
  LeaseRequest request = Request(3, "tasks");
  request.queues = {"empty", "tasks", "other"};
  EXPECT_THAT(*queue_->TakeLeases(request), SizeIs(3));
  EXPECT_THAT(*queue_->TakeLeases(request), SizeIs(2));
  const auto last = queue_->TakeLeases(request);
  ASSERT_THAT(*last, SizeIs(1));
  EXPECT_EQ((*last)[0].task.queue, "other");
}

TEST_P(QueueConformance, TasksOfOnePriorityGoOldestFirst) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 30; ++i) {
    ids.push_back(Add());
    Advance(Milliseconds(i % 3));
  }
  std::vector<TaskId> taken;
  while (taken.size() < ids.size()) {
    for (const Lease& lease : Take(4)) taken.push_back(lease.task.id);
  }
  EXPECT_EQ(taken, ids);
}

TEST_P(QueueConformance, HighGoesBeforeNormalBeforeLow) {
  Add(MakeTask("low", Priority::kLow));
  Add(MakeTask("normal", Priority::kNormal));
  Add(MakeTask("high", Priority::kHigh));
  EXPECT_EQ(TakeOne().task.kind, "high");
  EXPECT_EQ(TakeOne().task.kind, "normal");
  EXPECT_EQ(TakeOne().task.kind, "low");
}

TEST_P(QueueConformance, AStreamOfHighPriorityStarvesNobody) {
  for (int i = 0; i < 100; ++i) {
    Add(MakeTask("high", Priority::kHigh));
    Add(MakeTask("normal", Priority::kNormal));
    Add(MakeTask("low", Priority::kLow));
  }
  std::vector<std::string> kinds;
  while (kinds.size() < 100) {
    for (const Lease& lease : Take(1 + kinds.size() % 4)) kinds.push_back(lease.task.kind);
  }
  for (size_t i = 0; i + 10 <= kinds.size(); ++i) {
    const auto begin = kinds.begin() + static_cast<std::ptrdiff_t>(i);
    EXPECT_EQ(std::count(begin, begin + 10, "normal"), 1) << "from " << i;
    EXPECT_EQ(std::count(begin, begin + 10, "low"), 1) << "from " << i;
  }
}

TEST_P(QueueConformance, DelayedTaskWaitsForItsTime) {
  NewTask task = MakeTask();
  task.delay = Milliseconds(5000);
  const TaskId id = Add(task);
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(Get(id).reason, "delayed");
  EXPECT_EQ(Get(id).available_at, Now() + 5000);
  EXPECT_EQ(Stats().delayed, 1);
  EXPECT_EQ(Stats().queued, 1);
  Advance(Milliseconds(4999));
  EXPECT_THAT(Take(), IsEmpty());
  Advance(Milliseconds(1));
  const Lease lease = TakeOne();
  EXPECT_EQ(lease.task.id, id);
  EXPECT_EQ(lease.task.available_at, Now());
  EXPECT_EQ(Stats().delayed, 0);
}

TEST_P(QueueConformance, UniqueKeyHoldsWhileItsTaskIsQueuedOrStarted) {
  NewTask task = MakeTask();
  task.unique_key = "scan:/photos";
  const TaskId id = Add(task);
  EXPECT_EQ(Add(task), id);
  const Lease lease = TakeOne();
  EXPECT_EQ(Add(task), id);
  EXPECT_THAT(Take(), IsEmpty());
  ASSERT_TRUE(Finish(lease).ok());
  const TaskId next = Add(task);
  EXPECT_NE(next, id);
  EXPECT_EQ(TakeOne().task.id, next);
  EXPECT_EQ(Get(next).unique_key, "scan:/photos");
}

TEST_P(QueueConformance, UniqueKeyHoldsWithinOneCall) {
  std::vector<NewTask> tasks(3, MakeTask());
  for (NewTask& task : tasks) task.unique_key = "same";
  const auto ids = queue_->Enqueue(tasks);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ((*ids)[0], (*ids)[1]);
  EXPECT_EQ((*ids)[0], (*ids)[2]);
  EXPECT_THAT(Take(3), SizeIs(1));
}

// --- Dead letters

TEST_P(QueueConformance, ATaskThatFailsForGoodLeavesADeadLetterWithItsKey) {
  NewTask task = MakeTask();
  task.unique_key = "file:1";
  task.payload = {{"file", 1}};
  task.dead_letter = {"letters", "failed"};
  const TaskId id = Add(task);
  ASSERT_TRUE(Fail(TakeOne(), Code::kTimeout).ok());
  EXPECT_THAT(Take(1, "letters"), IsEmpty()) << "it will be tried again";
  Advance(Milliseconds(400000));
  const Lease last = TakeOne();
  ASSERT_TRUE(Fail(last, Code::kCorrupt, "picture: cut off").ok());
  EXPECT_EQ(Get(id).status, Status::kFailed);
  const auto letters = Take(1, "letters");
  ASSERT_THAT(letters, SizeIs(1));
  const Task& letter = letters[0].task;
  EXPECT_EQ(letter.kind, "failed");
  EXPECT_EQ(letter.unique_key, "file:1");
  EXPECT_EQ(letter.payload["task_id"], id);
  EXPECT_EQ(letter.payload["payload"], task.payload);
  EXPECT_EQ(letter.payload["error"]["code"], "corrupt");
  EXPECT_EQ(letter.payload["error"]["message"], "picture: cut off");
  EXPECT_EQ(letter.payload["attempts"], 2);
  EXPECT_EQ(letter.payload["token"][1], last.token.counter);
  EXPECT_EQ(Add(task), letter.id) << "the key is the letter's now";
}

TEST_P(QueueConformance, ACancelledTaskLeavesNoDeadLetter) {
  NewTask task = MakeTask();
  task.dead_letter = {"letters", "failed"};
  ASSERT_TRUE(queue_->Cancel(Add(task)).ok());
  EXPECT_THAT(Take(1, "letters"), IsEmpty());
}

TEST_P(QueueConformance, FollowUpMayCarryTheKeyOn) {
  NewTask task = MakeTask();
  task.unique_key = "file:1";
  const TaskId first = Add(task);
  NewTask next = MakeTask("next");
  next.unique_key = "file:1";
  ASSERT_TRUE(Finish(TakeOne(), {next}).ok());
  const Lease lease = TakeOne();
  EXPECT_NE(lease.task.id, first);
  EXPECT_EQ(lease.task.unique_key, "file:1");
}

// --- Fencing

TEST_P(QueueConformance, TokensOnlyGrow) {
  Token last;
  for (int i = 0; i < 6; ++i) Add();
  const auto second = state_->Open();
  for (int i = 0; i < 6; ++i) {
    TaskQueue& queue = i % 2 == 0 ? *queue_ : *second;
    const auto leases = queue.TakeLeases(Request(1, "tasks"));
    ASSERT_THAT(*leases, SizeIs(1));
    EXPECT_GT((*leases)[0].token, last);
    last = (*leases)[0].token;
    if (i == 2) {
      ASSERT_TRUE(queue_->RaiseEpoch(7).ok());
    }
    if (i == 3) {
      ASSERT_TRUE(second->RaiseEpoch(5).ok());  // never lowered
    }
  }
  EXPECT_EQ(last.epoch, 7U);
}

TEST_P(QueueConformance, ExpiredLeaseCannotComplete) {
  const TaskId id = Add();
  const Lease lease = TakeOne();
  Advance(kLease);
  EXPECT_EQ(Finish(lease).code(), Code::kStale);
  EXPECT_EQ(Fail(lease, Code::kInvalid).code(), Code::kStale);
  EXPECT_EQ(queue_->Release(lease).code(), Code::kStale);
  EXPECT_EQ(queue_->SetProgress(lease, {}).code(), Code::kStale);
  EXPECT_FALSE((*queue_->Extend(std::span(&lease, 1), kLease))[0].held);
  EXPECT_NE(Get(id).status, Status::kFinished);
}

TEST_P(QueueConformance, LateResultOfAnOldWorkerHasNoEffect) {
  const TaskId id = Add();
  const Lease old = TakeOne();
  Advance(kLease);
  const Lease latest = TakeOne();
  EXPECT_EQ(latest.task.id, id);
  EXPECT_GT(latest.token, old.token);
  EXPECT_EQ(Finish(old, {MakeTask("follow-up")}).code(), Code::kStale);
  EXPECT_EQ(Get(id).status, Status::kStarted);
  EXPECT_THAT(Take(), IsEmpty());
  ASSERT_TRUE(queue_->SetProgress(latest, {0.5, "half", ""}).ok());
  EXPECT_EQ(queue_->SetProgress(old, {0.1, "old", ""}).code(), Code::kStale);
  EXPECT_EQ(Get(id).progress.stage, "half");
  EXPECT_TRUE(Finish(latest).ok());
  EXPECT_EQ(Finish(latest).code(), Code::kStale);
}

TEST_P(QueueConformance, BatchOfCompletionsIsAnsweredOneByOne) {
  for (int i = 0; i < 3; ++i) Add();
  const std::vector<Lease> leases = Take(3);
  ASSERT_THAT(leases, SizeIs(3));
  ASSERT_TRUE(Finish(leases[1]).ok());
  std::vector<Completion> completions(3);
  for (size_t i = 0; i < 3; ++i) completions[i].lease = leases[i];
  completions[2].follow_ups = {MakeTask("")};
  const auto answers = queue_->Complete(completions);
  ASSERT_TRUE(answers.ok());
  EXPECT_TRUE((*answers)[0].ok());
  EXPECT_EQ((*answers)[1].code(), Code::kStale);
  EXPECT_EQ((*answers)[2].code(), Code::kInvalid);
  EXPECT_EQ(Get(leases[2].task.id).status, Status::kStarted);
}

// Once on its own and once while somebody waits for another task: back ends may check a batch at
// once if there is nothing special about any task.
TEST_P(QueueConformance, ALeaseInABatchCountsOnce) {
  for (const bool followed : {false, true}) {
    if (followed) {
      NewTask follower = MakeTask();
      follower.after = {Add()};
      Add(follower);
      ASSERT_THAT(Take(1), SizeIs(1));
    }
    for (int i = 0; i < 4; ++i) Add();
    const std::vector<Lease> leases = Take(4);
    ASSERT_THAT(leases, SizeIs(4));
    ASSERT_TRUE(Finish(leases[3]).ok());
    std::vector<Completion> completions;
    for (const size_t i : {0, 1, 0, 3, 2}) {
      Completion& completion = completions.emplace_back();
      completion.lease = leases[i];
      completion.result = {{"at", completions.size()}};
    }
    ++completions[4].lease.token.counter;  // a token that nobody was given
    const auto answers = queue_->Complete(completions);
    ASSERT_TRUE(answers.ok()) << answers.message();
    ASSERT_THAT(*answers, SizeIs(5));
    EXPECT_TRUE((*answers)[0].ok());
    EXPECT_TRUE((*answers)[1].ok());
    for (const size_t i : {2, 3, 4}) EXPECT_EQ((*answers)[i].code(), Code::kStale) << i;
    EXPECT_EQ(Get(leases[0].task.id).result, Json({{"at", 1}}));
    EXPECT_EQ(Get(leases[2].task.id).status, Status::kStarted);
    ASSERT_TRUE(Finish(leases[2]).ok());
  }
}

TEST_P(QueueConformance, CancelledInTheMiddleOfALongQueueIsNotLeased) {
  constexpr size_t kTasks = 2500;
  for (const bool removed : {false, true}) {
    const auto ids = queue_->Enqueue(std::vector<NewTask>(kTasks, MakeTask()));
    ASSERT_TRUE(ids.ok());
    const TaskId& id = (*ids)[kTasks / 2];
    ASSERT_TRUE(queue_->Cancel(id).ok());
    EXPECT_EQ(Get(id).status, Status::kCancelled);
    if (removed) {
      Advance(Milliseconds(1));
      ASSERT_TRUE(queue_->Maintain({Milliseconds(0), Milliseconds(0), 100'000}).ok());
      EXPECT_EQ(queue_->Get(id).code(), Code::kNotFound);
    }
    std::set<TaskId> leased;
    while (true) {
      const std::vector<Lease> leases = Take(500);
      if (leases.empty()) break;
      for (const Lease& lease : leases) EXPECT_TRUE(leased.insert(lease.task.id).second);
    }
    EXPECT_EQ(leased.size(), kTasks - 1);
    EXPECT_FALSE(leased.contains(id));
    EXPECT_EQ(Stats().queued, 0);
  }
}

TEST_P(QueueConformance, ExtendedLeaseLastsLonger) {
  Add();
  const Lease lease = TakeOne();
  for (int i = 0; i < 5; ++i) {
    Advance(kLease * 2 / 3);
    EXPECT_TRUE((*queue_->Extend(std::span(&lease, 1), kLease))[0].held);
    EXPECT_THAT(Take(), IsEmpty());
  }
  EXPECT_TRUE(Finish(lease).ok());
}

// --- Attempts that end badly

TEST_P(QueueConformance, TransientErrorIsTriedAgainAfterABackOff) {
  NewTask task = MakeTask();
  task.retry.backoff_first = Milliseconds(1000);
  const TaskId id = Add(task);
  ASSERT_TRUE(Fail(TakeOne(), Code::kUnavailable, "disk: away").ok());
  const Task failed = Get(id);
  EXPECT_EQ(failed.status, Status::kQueued);
  EXPECT_EQ(failed.reason, "delayed");
  EXPECT_EQ(failed.errors, 1);
  EXPECT_EQ(failed.attempts, 1);
  EXPECT_EQ(failed.error->code, Code::kUnavailable);
  EXPECT_EQ(failed.error->message, "disk: away");
  EXPECT_GE(failed.available_at, Now() + 500);
  EXPECT_LE(failed.available_at, Now() + 1000);
  EXPECT_THAT(Take(), IsEmpty());
  Advance(Milliseconds(1000));
  ASSERT_TRUE(Fail(TakeOne(), Code::kTimeout).ok());
  EXPECT_GE(Get(id).available_at, Now() + 1000);
  EXPECT_LE(Get(id).available_at, Now() + 2000);
}

TEST_P(QueueConformance, TransientErrorsEndAtTheirLimit) {
  NewTask task = MakeTask();
  task.retry.errors_max = 3;
  const TaskId id = Add(task);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Get(id).status, Status::kQueued);
    ASSERT_TRUE(Fail(TakeOne(), Code::kUnavailable).ok());
    Advance(task.retry.backoff_max);
  }
  EXPECT_EQ(Get(id).status, Status::kFailed);
  EXPECT_EQ(Get(id).errors, 3);
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(Stats().failed, 1);
  EXPECT_EQ(Stats().failed_total, 1);
}

TEST_P(QueueConformance, WhatCannotSucceedIsNotTriedAgain) {
  const TaskId id = Add();
  ASSERT_TRUE(Fail(TakeOne(), Code::kCorrupt, "a.jpg: cut off").ok());
  const Task task = Get(id);
  EXPECT_EQ(task.status, Status::kFailed);
  EXPECT_EQ(task.reason, "");
  EXPECT_EQ(task.error->message, "a.jpg: cut off");
  EXPECT_EQ(task.finished_at, Now());
  const auto events = queue_->Events(id);
  EXPECT_EQ(events->back().what, "error");
  EXPECT_EQ(events->back().worker, "worker-1");
  EXPECT_EQ(events->back().detail, "a.jpg: cut off");
}

TEST_P(QueueConformance, TaskThatCrashesItsWorkerTwiceIsQuarantined) {
  const TaskId id = Add();
  ASSERT_TRUE(Fail(TakeOne(), Code::kCrashed).ok());
  EXPECT_EQ(Get(id).status, Status::kQueued);
  EXPECT_EQ(Get(id).crashes, 1);
  Advance(Milliseconds(1000));
  ASSERT_TRUE(Fail(TakeOne(), Code::kCrashed).ok());
  const Task task = Get(id);
  EXPECT_EQ(task.status, Status::kFailed);
  EXPECT_EQ(task.reason, "quarantined");
  EXPECT_EQ(task.crashes, 2);
  EXPECT_EQ(task.errors, 0);
  EXPECT_THAT(History(id),
              ElementsAre("enqueued", "started", "crash", "started", "crash", "quarantined"));
}

TEST_P(QueueConformance, LostLeaseCountsApartAndRunsAgainAtOnce) {
  NewTask task = MakeTask();
  task.retry.losses_max = 3;
  const TaskId id = Add(task);
  for (int i = 0; i < 3; ++i) {
    TakeOne();
    Advance(kLease);
    ASSERT_TRUE(queue_->Maintain({}).ok());
    EXPECT_EQ(Get(id).losses, i + 1);
    EXPECT_EQ(Get(id).status, i < 2 ? Status::kQueued : Status::kFailed);
  }
  const Task lost = Get(id);
  EXPECT_EQ(lost.reason, "lost");
  EXPECT_EQ(lost.crashes, 0);
  EXPECT_EQ(lost.errors, 0);
  EXPECT_EQ(lost.attempts, 3);
  EXPECT_THAT(lost.error->message, HasSubstr("worker-1"));
}

TEST_P(QueueConformance, ReleasedTaskStartsAtOnceAndCountsNothing) {
  const TaskId id = Add();
  ASSERT_TRUE(queue_->Release(TakeOne()).ok());
  const Task task = Get(id);
  EXPECT_EQ(task.status, Status::kQueued);
  EXPECT_EQ(task.attempts + task.errors + task.crashes + task.losses, 0);
  EXPECT_FALSE(task.started_at.has_value());
  ASSERT_TRUE(queue_->Release(TakeOne(), Milliseconds(300)).ok());
  EXPECT_THAT(Take(), IsEmpty());
  Advance(Milliseconds(300));
  EXPECT_TRUE(Finish(TakeOne()).ok());
  EXPECT_THAT(History(id), ElementsAre("enqueued", "started", "released", "started", "released",
                                       "started", "finished"));
}

TEST_P(QueueConformance, ProgressIsSeenUntilTheAttemptEnds) {
  const TaskId id = Add();
  const Lease lease = TakeOne();
  ASSERT_TRUE(queue_->SetProgress(lease, {0.25, "decode", "一半"}).ok());
  EXPECT_DOUBLE_EQ(Get(id).progress.fraction, 0.25);
  EXPECT_EQ(Get(id).progress.stage, "decode");
  EXPECT_EQ(Get(id).progress.message, "一半");
  ASSERT_TRUE(queue_->Release(lease).ok());
  EXPECT_DOUBLE_EQ(Get(id).progress.fraction, 0);
}

// --- Flows

TEST_P(QueueConformance, FollowUpsAreEnqueuedWithTheCompletion) {
  Add();
  const Lease lease = TakeOne();
  NewTask next = MakeTask("embed");
  next.after = {lease.task.id};
  next.parent = lease.task.id;
  ASSERT_TRUE(Finish(lease, {next, MakeTask("commit")}).ok());
  EXPECT_EQ(TakeOne().task.kind, "embed");
  EXPECT_EQ(TakeOne().task.kind, "commit");
}

TEST_P(QueueConformance, FollowerStartsWhenAllItFollowsFinished) {
  const TaskId first = Add("first");
  const TaskId second = Add("second");
  NewTask last = MakeTask("last");
  last.after = {first, second};
  const TaskId id = Add(last);
  EXPECT_EQ(Get(id).reason, "waiting");
  EXPECT_EQ(Get(id).after, last.after);
  const std::vector<Lease> leases = Take(3);
  ASSERT_THAT(leases, SizeIs(2));
  ASSERT_TRUE(Finish(leases[1]).ok());
  EXPECT_THAT(Take(), IsEmpty());
  ASSERT_TRUE(Finish(leases[0]).ok());
  EXPECT_EQ(TakeOne().task.id, id);
}

TEST_P(QueueConformance, FollowerOfAFinishedTaskStartsAtOnceUnlessDelayed) {
  const TaskId first = Add();
  NewTask delayed = MakeTask("delayed");
  delayed.after = {first};
  delayed.delay = Milliseconds(1000);
  const TaskId late = Add(delayed);
  ASSERT_TRUE(Finish(TakeOne()).ok());
  EXPECT_EQ(Get(late).reason, "delayed");
  NewTask next = MakeTask("next");
  next.after = {first};
  const TaskId id = Add(next);
  EXPECT_EQ(TakeOne().task.id, id);
  Advance(Milliseconds(1000));
  EXPECT_EQ(TakeOne().task.id, late);
}

TEST_P(QueueConformance, FollowersOfAFailureFailWithItsReason) {
  const TaskId first = Add("first");
  NewTask second = MakeTask("second");
  second.after = {first};
  const TaskId second_id = Add(second);
  NewTask third = MakeTask("third");
  third.after = {second_id};
  const TaskId third_id = Add(third);
  ASSERT_TRUE(Fail(TakeOne(), Code::kCorrupt, "a.jpg: cut off").ok());
  for (const TaskId& id : {second_id, third_id}) {
    EXPECT_EQ(Get(id).status, Status::kFailed);
    EXPECT_EQ(Get(id).reason, "dependency");
    EXPECT_THAT(Get(id).error->message, HasSubstr("a.jpg: cut off"));
  }
  NewTask late = MakeTask("late");
  late.after = {first};
  EXPECT_EQ(Get(Add(late)).status, Status::kFailed);
  EXPECT_EQ(Stats().failed, 4);
}

TEST_P(QueueConformance, FollowersOfACancelledTaskFail) {
  const TaskId first = Add("first");
  NewTask second = MakeTask("second");
  second.after = {first};
  const TaskId id = Add(second);
  ASSERT_TRUE(queue_->Cancel(first).ok());
  EXPECT_EQ(Get(id).status, Status::kFailed);
  EXPECT_EQ(Get(id).error->code, Code::kCancelled);
}

TEST_P(QueueConformance, FollowingAnUnknownTaskIsRefused) {
  NewTask task = MakeTask();
  task.after = {"t01JZZZZZZZZZZZZZZZZZZZZZZZ"};
  EXPECT_EQ(queue_->Enqueue(task).code(), Code::kNotFound);
}

TEST_P(QueueConformance, LongChainOfFollowersFailsTogether) {
  TaskId last = Add("first");
  const TaskId first = last;
  for (int i = 0; i < 2000; ++i) {
    NewTask next = MakeTask("next");
    next.after = {last};
    last = Add(next);
  }
  ASSERT_TRUE(queue_->Cancel(first).ok());
  EXPECT_EQ(Get(last).status, Status::kFailed);
  EXPECT_EQ(Stats().failed, 2000);
}

// --- Cancel and retry

TEST_P(QueueConformance, CancelEndsAQueuedTaskAtOnce) {
  const TaskId id = Add();
  ASSERT_TRUE(queue_->Cancel(id).ok());
  EXPECT_EQ(Get(id).status, Status::kCancelled);
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(queue_->Cancel(id).code(), Code::kConflict);
  EXPECT_THAT(History(id), ElementsAre("enqueued", "cancelled"));
}

TEST_P(QueueConformance, CancelReachesARunningTask) {
  const TaskId id = Add();
  const Lease lease = TakeOne();
  ASSERT_TRUE(queue_->Cancel(id).ok());
  EXPECT_EQ(Get(id).status, Status::kStarted);
  EXPECT_TRUE(Get(id).cancel_requested);
  const auto held = queue_->Extend(std::span(&lease, 1), kLease);
  EXPECT_FALSE((*held)[0].held);
  EXPECT_TRUE((*held)[0].cancelled);
  EXPECT_EQ(Get(id).status, Status::kCancelled);
}

TEST_P(QueueConformance, CancelledTaskEndsWhateverItsWorkerSays) {
  for (int i = 0; i < 4; ++i) Add();
  const std::vector<Lease> leases = Take(4);
  for (const Lease& lease : leases) ASSERT_TRUE(queue_->Cancel(lease.task.id).ok());
  EXPECT_EQ(Finish(leases[0], {MakeTask("follow-up")}).code(), Code::kStale);
  EXPECT_TRUE(Fail(leases[1], Code::kUnavailable).ok());
  EXPECT_TRUE(queue_->Release(leases[2]).ok());
  Advance(kLease);
  EXPECT_THAT(Take(), IsEmpty());
  for (const Lease& lease : leases) EXPECT_EQ(Get(lease.task.id).status, Status::kCancelled);
  EXPECT_EQ(Stats().cancelled, 4);
}

TEST_P(QueueConformance, FailedTaskCanBeRetriedWithCountsAtZero) {
  const TaskId id = Add();
  ASSERT_TRUE(Fail(TakeOne(), Code::kCorrupt).ok());
  ASSERT_TRUE(queue_->Retry(id).ok());
  const Task task = Get(id);
  EXPECT_EQ(task.status, Status::kQueued);
  EXPECT_EQ(task.attempts + task.errors, 0);
  EXPECT_FALSE(task.finished_at.has_value());
  EXPECT_EQ(queue_->Retry(id).code(), Code::kConflict);
  ASSERT_TRUE(Finish(TakeOne()).ok());
  EXPECT_EQ(queue_->Retry(id).code(), Code::kConflict);
  EXPECT_THAT(History(id),
              ElementsAre("enqueued", "started", "error", "retried", "started", "finished"));
}

TEST_P(QueueConformance, CancelledTaskCanBeRetried) {
  const TaskId id = Add();
  TakeOne();
  ASSERT_TRUE(queue_->Cancel(id).ok());
  Advance(kLease);
  ASSERT_TRUE(queue_->Maintain({}).ok());
  ASSERT_TRUE(queue_->Retry(id).ok());
  EXPECT_FALSE(Get(id).cancel_requested);
  EXPECT_TRUE(Finish(TakeOne()).ok());
}

TEST_P(QueueConformance, RetryReleasesATaskWhoseLeaseRanOut) {
  const TaskId id = Add();
  const Lease lease = TakeOne();
  EXPECT_EQ(queue_->Retry(id).code(), Code::kConflict);
  Advance(kLease);
  ASSERT_TRUE(queue_->Retry(id).ok());
  EXPECT_EQ(Get(id).status, Status::kQueued);
  EXPECT_EQ(Get(id).losses, 0);
  EXPECT_EQ(Finish(lease).code(), Code::kStale);
}

TEST_P(QueueConformance, RetryRespectsAUniqueKeyTakenMeanwhile) {
  NewTask task = MakeTask();
  task.unique_key = "key";
  const TaskId id = Add(task);
  ASSERT_TRUE(queue_->Cancel(id).ok());
  Add(task);
  EXPECT_EQ(queue_->Retry(id).code(), Code::kConflict);
}

TEST_P(QueueConformance, RetriedFollowerWaitsForARetriedPredecessor) {
  const TaskId first = Add("first");
  NewTask second = MakeTask("second");
  second.after = {first};
  const TaskId id = Add(second);
  ASSERT_TRUE(Fail(TakeOne(), Code::kCorrupt).ok());
  EXPECT_EQ(queue_->Retry(id).code(), Code::kConflict);
  ASSERT_TRUE(queue_->Retry(first).ok());
  ASSERT_TRUE(queue_->Retry(id).ok());
  EXPECT_EQ(Get(id).reason, "waiting");
  ASSERT_TRUE(Finish(TakeOne()).ok());
  EXPECT_EQ(TakeOne().task.id, id);
}

// --- Looking

TEST_P(QueueConformance, PausedQueueGivesNothingOut) {
  const TaskId id = Add();
  ASSERT_TRUE(queue_->Pause("tasks").ok());
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(Get(id).reason, "paused");
  EXPECT_TRUE(Stats().paused);
  const TaskId second = Add();
  EXPECT_EQ(Get(second).status, Status::kQueued);
  ASSERT_TRUE(queue_->Resume("tasks").ok());
  EXPECT_EQ(Get(id).reason, "");
  EXPECT_THAT(Take(2), SizeIs(2));
}

TEST_P(QueueConformance, ListFilters) {
  NewTask task = MakeTask("prepare");
  task.payload = {{"path", "/photos/giraffe.jpg"}};
  const TaskId a = Add(task);
  NewTask child = MakeTask("embed");
  child.parent = a;
  const TaskId b = Add(child);
  NewTask other = MakeTask("embed");
  other.queue = "other";
  other.delay = Milliseconds(1000);
  const TaskId c = Add(other);
  ASSERT_TRUE(Fail(TakeOne(), Code::kCorrupt, "giraffe.jpg: cut off").ok());

  const auto list = [&](auto change) {
    TaskFilter filter;
    change(filter);
    const auto tasks = queue_->List(filter);
    EXPECT_TRUE(tasks.ok()) << tasks.message();
    EXPECT_EQ(*queue_->Count(filter), static_cast<int64_t>(tasks->size()));
    return Ids(*tasks);
  };
  EXPECT_THAT(list([](TaskFilter&) {}), ElementsAre(c, b, a));
  EXPECT_THAT(list([](TaskFilter& f) { f.queue = "tasks"; }), ElementsAre(b, a));
  EXPECT_THAT(list([](TaskFilter& f) { f.kind = "embed"; }), ElementsAre(c, b));
  EXPECT_THAT(list([](TaskFilter& f) { f.status = Status::kFailed; }), ElementsAre(a));
  EXPECT_THAT(list([](TaskFilter& f) { f.status = Status::kQueued; }), ElementsAre(c, b));
  EXPECT_THAT(list([](TaskFilter& f) { f.reason = "delayed"; }), ElementsAre(c));
  EXPECT_THAT(list([](TaskFilter& f) { f.text = "photos/gir"; }), ElementsAre(a));
  EXPECT_THAT(list([](TaskFilter& f) { f.text = "cut off"; }), ElementsAre(a));
  EXPECT_THAT(list([&](TaskFilter& f) { f.text = b.substr(5); }), ElementsAre(b));
  EXPECT_THAT(list([&](TaskFilter& f) { f.parent = a; }), ElementsAre(b));
  EXPECT_THAT(list([](TaskFilter& f) { f.text = "'%_ nothing"; }), IsEmpty());
}

TEST_P(QueueConformance, ListIsPagedNewestFirst) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 25; ++i) ids.insert(ids.begin(), Add());
  std::vector<TaskId> seen;
  TaskFilter filter;
  filter.limit = 10;
  while (true) {
    const auto page = queue_->List(filter);
    ASSERT_TRUE(page.ok());
    if (page->empty()) break;
    EXPECT_LE(page->size(), 10U);
    for (const Task& task : *page) seen.push_back(task.id);
    filter.before = page->back().id;
  }
  EXPECT_EQ(seen, ids);
  EXPECT_EQ(*queue_->Count(filter), 25);
}

TEST_P(QueueConformance, CountsWhatGoesBeforeATask) {
  const TaskId first = Add(MakeTask("work", Priority::kNormal));
  Add(MakeTask("work", Priority::kLow));
  NewTask late = MakeTask();
  late.delay = kLease;
  Add(late);
  const TaskId second = Add(MakeTask("work", Priority::kNormal));
  NewTask elsewhere = MakeTask();
  elsewhere.queue = "embed";
  Add(elsewhere);
  EXPECT_EQ(queue_->CountAhead(first).value_or(-1), 0);
  EXPECT_EQ(queue_->CountAhead(second).value_or(-1), 1);
  const TaskId urgent = Add(MakeTask("work", Priority::kHigh));
  EXPECT_EQ(queue_->CountAhead(urgent).value_or(-1), 0);
  EXPECT_EQ(queue_->CountAhead(second).value_or(-1), 2);
  EXPECT_TRUE(queue_->Cancel(first).ok());
  EXPECT_EQ(queue_->CountAhead(second).value_or(-1), 1);
  ASSERT_TRUE(queue_->Pause("tasks").ok());
  EXPECT_EQ(queue_->CountAhead(second).value_or(-1), 1);
  ASSERT_TRUE(queue_->Resume("tasks").ok());
  EXPECT_EQ(TakeOne().task.id, urgent);
  EXPECT_EQ(queue_->CountAhead(second).value_or(-1), 0);
  EXPECT_EQ(queue_->CountAhead(urgent).value_or(-1), 0);
  EXPECT_EQ(queue_->CountAhead("t00000000000000000000000000").code(), Code::kNotFound);
}

TEST_P(QueueConformance, StuckTasksCanBeListed) {
  const TaskId id = Add();
  TakeOne();
  TaskFilter filter;
  filter.stuck = true;
  EXPECT_EQ(*queue_->Count(filter), 0);
  Advance(kLease);
  EXPECT_THAT(Ids(*queue_->List(filter)), ElementsAre(id));
}

TEST_P(QueueConformance, StatsCountEveryState) {
  for (int i = 0; i < 6; ++i) Add();
  NewTask delayed = MakeTask();
  delayed.delay = Milliseconds(60000);
  Add(delayed);
  const std::vector<Lease> leases = Take(4);
  Advance(Milliseconds(100));
  ASSERT_TRUE(Finish(leases[0]).ok());
  ASSERT_TRUE(Fail(leases[1], Code::kInvalid).ok());
  ASSERT_TRUE(queue_->Release(leases[2]).ok());
  const QueueStats stats = Stats();
  EXPECT_EQ(stats.queued, 4);
  EXPECT_EQ(stats.delayed, 1);
  EXPECT_EQ(stats.started, 1);
  EXPECT_EQ(stats.finished, 1);
  EXPECT_EQ(stats.failed, 1);
  EXPECT_EQ(stats.finished_total, 1);
  EXPECT_DOUBLE_EQ(stats.mean_ms, 100);
}

TEST_P(QueueConformance, EventsTellWhoAndWhen) {
  const TaskId id = Add();
  Advance(Milliseconds(5));
  const Lease lease = TakeOne();
  Advance(Milliseconds(7));
  ASSERT_TRUE(Finish(lease).ok());
  const auto events = queue_->Events(id);
  ASSERT_THAT(*events, SizeIs(3));
  EXPECT_EQ((*events)[0].at, Now() - 12);
  EXPECT_EQ((*events)[0].worker, "");
  EXPECT_EQ((*events)[1].at, Now() - 7);
  EXPECT_EQ((*events)[1].worker, "worker-1");
  EXPECT_EQ((*events)[2].at, Now());
  EXPECT_EQ((*events)[2].worker, "worker-1");
}

TEST_P(QueueConformance, HistoryIsBounded) {
  const TaskId id = Add();
  for (int i = 0; i < 1500; ++i) ASSERT_TRUE(queue_->Release(TakeOne()).ok());
  const auto events = queue_->Events(id);
  EXPECT_LT(events->size(), 3000U);
  EXPECT_EQ(events->front().what, "enqueued");
  EXPECT_EQ(events->back().what, "released");
  EXPECT_EQ(events->back().worker, "worker-1");
}

TEST_P(QueueConformance, WorkersAreSeenForTheirTime) {
  WorkerInfo info;
  info.id = "host:1:task_worker:0";
  info.role = "task_worker";
  info.host = "host";
  info.pid = 1;
  info.state = "idle";
  info.detail = {{"device", "cpu"}};
  info.started_at = Now();
  ASSERT_TRUE(queue_->Heartbeat(info, Milliseconds(1000)).ok());
  Advance(Milliseconds(999));
  auto workers = queue_->Workers();
  ASSERT_THAT(*workers, SizeIs(1));
  EXPECT_EQ((*workers)[0].id, info.id);
  EXPECT_EQ((*workers)[0].role, "task_worker");
  EXPECT_EQ((*workers)[0].pid, 1);
  EXPECT_EQ((*workers)[0].detail, info.detail);
  EXPECT_EQ((*workers)[0].seen_at, Now() - 999);
  Advance(Milliseconds(1));
  EXPECT_THAT(*queue_->Workers(), IsEmpty());
  ASSERT_TRUE(queue_->Heartbeat(info, Milliseconds(1000)).ok());
  ASSERT_TRUE(queue_->Forget(info.id).ok());
  EXPECT_THAT(*queue_->Workers(), IsEmpty());
}

TEST_P(QueueConformance, EndedTasksGoAfterTheirRetention) {
  const TaskId finished = Add();
  ASSERT_TRUE(Finish(TakeOne()).ok());
  const TaskId failed = Add();
  ASSERT_TRUE(Fail(TakeOne(), Code::kCorrupt).ok());
  const TaskId queued = Add();
  const Retention retention{Milliseconds(1000), Milliseconds(5000), 100};
  Advance(Milliseconds(999));
  ASSERT_TRUE(queue_->Maintain(retention).ok());
  EXPECT_TRUE(queue_->Get(finished).ok());
  Advance(Milliseconds(1));
  ASSERT_TRUE(queue_->Maintain(retention).ok());
  EXPECT_EQ(queue_->Get(finished).code(), Code::kNotFound);
  EXPECT_TRUE(queue_->Get(failed).ok());
  Advance(Milliseconds(4000));
  ASSERT_TRUE(queue_->Maintain(retention).ok());
  EXPECT_EQ(queue_->Get(failed).code(), Code::kNotFound);
  EXPECT_TRUE(queue_->Get(queued).ok());
  EXPECT_EQ(Stats().finished, 0);
  EXPECT_EQ(Stats().failed, 0);
  EXPECT_EQ(Stats().finished_total, 1);
  EXPECT_EQ(Stats().failed_total, 1);
}

TEST_P(QueueConformance, OldestEndedTasksGoBeyondTheirNumber) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(Add());
    const Lease lease = TakeOne();
    ASSERT_TRUE((i % 2 == 0 ? Finish(lease) : Fail(lease, Code::kInvalid)).ok());
    Advance(Milliseconds(1));
  }
  Retention retention;
  retention.rows_max = 4;
  ASSERT_TRUE(queue_->Maintain(retention).ok());
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(queue_->Get(ids[i]).ok(), i >= 6) << i;
}

TEST_P(QueueConformance, StateIdStaysWithTheState) {
  const auto id = queue_->StateId();
  ASSERT_TRUE(id.ok());
  EXPECT_FALSE(id->empty());
  EXPECT_EQ(*state_->Open()->StateId(), *id);
  EXPECT_NE(*GetParam().make()->Open()->StateId(), *id);
}

// --- Waiting. wait_max is far beyond the time limit of a test: a lost wake fails by it.

constexpr Milliseconds kForever{3'600'000};

TEST_P(QueueConformance, WaitingWorkerIsWokenByAnotherUsersTask) {
  const auto other = state_->Open();
  LeaseRequest request = Request(1, "tasks");
  request.queues = {"first", "tasks"};
  request.wait_max = kForever;
  for (int round = 0; round < 20; ++round) {
    auto waiting = std::async(std::launch::async, [&] { return queue_->TakeLeases(request); });
    const auto id = other->Enqueue(MakeTask());
    const auto leases = waiting.get();
    ASSERT_TRUE(leases.ok());
    ASSERT_THAT(*leases, SizeIs(1));
    EXPECT_EQ((*leases)[0].task.id, *id);
  }
}

TEST_P(QueueConformance, WaitingWorkerIsWokenByFollowUpReleaseRetryAndResume) {
  const auto other = state_->Open();
  LeaseRequest request = Request(1, "tasks");
  request.wait_max = kForever;
  const auto wait_while = [&](auto act) {
    auto waiting = std::async(std::launch::async, [&] { return other->TakeLeases(request); });
    act();
    const auto leases = waiting.get();
    EXPECT_THAT(*leases, SizeIs(1));
    return (*leases)[0];
  };
  Add();
  Lease lease = TakeOne();
  lease = wait_while([&] { ASSERT_TRUE(Finish(lease, {MakeTask("next")}).ok()); });
  EXPECT_EQ(lease.task.kind, "next");
  lease = wait_while([&] { ASSERT_TRUE(queue_->Release(lease).ok()); });
  ASSERT_TRUE(Fail(lease, Code::kInvalid).ok());
  lease = wait_while([&] { ASSERT_TRUE(queue_->Retry(lease.task.id).ok()); });
  ASSERT_TRUE(queue_->Pause("tasks").ok());
  Add("paused");
  lease = wait_while([&] { ASSERT_TRUE(queue_->Resume("tasks").ok()); });
  EXPECT_EQ(lease.task.kind, "paused");
}

TEST_P(QueueConformance, StopEndsAWaitEarly) {
  std::stop_source stop;
  LeaseRequest request = Request(1, "tasks");
  request.wait_max = kForever;
  request.stop = stop.get_token();
  auto waiting = std::async(std::launch::async, [&] { return queue_->TakeLeases(request); });
  stop.request_stop();
  EXPECT_THAT(*waiting.get(), IsEmpty());

  const TaskId id = Add();
  std::stop_source stop_await;
  auto awaiting = std::async(std::launch::async,
                             [&] { return queue_->Await(id, kForever, stop_await.get_token()); });
  stop_await.request_stop();
  EXPECT_EQ(awaiting.get()->status, Status::kQueued);
}

TEST_P(QueueConformance, WaitEndsAtItsLimit) {
  LeaseRequest request = Request(1, "tasks");
  request.wait_max = Milliseconds(20);
  EXPECT_THAT(*queue_->TakeLeases(request), IsEmpty());
  EXPECT_EQ(queue_->Await(Add(), Milliseconds(20), {})->status, Status::kQueued);
}

TEST_P(QueueConformance, AwaitReturnsWhenTheTaskEnded) {
  const auto other = state_->Open();
  const TaskId id = Add();
  const Lease lease = TakeOne();
  auto awaiting = std::async(std::launch::async, [&] { return other->Await(id, kForever, {}); });
  ASSERT_TRUE(Finish(lease).ok());
  EXPECT_EQ(awaiting.get()->status, Status::kFinished);
  EXPECT_EQ(other->Await("t01JZZZZZZZZZZZZZZZZZZZZZZZ", kForever, {}).code(), Code::kNotFound);

  const TaskId cancelled = Add();
  awaiting = std::async(std::launch::async, [&] { return other->Await(cancelled, kForever, {}); });
  ASSERT_TRUE(queue_->Cancel(cancelled).ok());
  EXPECT_EQ(awaiting.get()->status, Status::kCancelled);
}

TEST_P(QueueConformance, EnqueueAndAwaitTellsHowTheTaskEnded) {
  LeaseRequest request = Request(1, "tasks");
  request.wait_max = kForever;
  NewTask task = MakeTask();
  task.payload = {{"path", "/photos/giraffe.jpg"}};
  for (const char* unique_key : {"", "key"}) {
    task.unique_key = unique_key;
    auto ended =
        std::async(std::launch::async, [&] { return queue_->EnqueueAndAwait(task, kForever, {}); });
    Completion completion{queue_->TakeLeases(request)->at(0), {{"answer", 42}}, {}};
    ASSERT_TRUE(queue_->Complete(std::span(&completion, 1))->at(0).ok());
    const auto finished = ended.get();
    ASSERT_TRUE(finished.ok()) << finished.message();
    EXPECT_EQ(finished->status, Status::kFinished);
    EXPECT_EQ(finished->result, completion.result);
    EXPECT_EQ(finished->payload, task.payload);
    EXPECT_EQ(finished->worker, request.worker);
    EXPECT_EQ(finished->attempts, 1);
    EXPECT_EQ(finished->unique_key, unique_key);

    ended =
        std::async(std::launch::async, [&] { return queue_->EnqueueAndAwait(task, kForever, {}); });
    ASSERT_TRUE(
        queue_->Fail({queue_->TakeLeases(request)->at(0), {Code::kCorrupt, "it: broke"}}).ok());
    const auto failed = ended.get();
    ASSERT_TRUE(failed.ok()) << failed.message();
    EXPECT_EQ(failed->status, Status::kFailed);
    EXPECT_EQ(failed->error->message, "it: broke");
    EXPECT_EQ(failed->payload, task.payload);
  }
  task.unique_key.clear();
  const auto waiting = queue_->EnqueueAndAwait(task, Milliseconds(20), {});
  ASSERT_TRUE(waiting.ok()) << waiting.message();
  EXPECT_EQ(waiting->status, Status::kQueued);
}

TEST_P(QueueConformance, ManyThreadsAndUsersShareTheWorkWithoutOverlap) {
  constexpr int kTasks = 400;
  const auto other = state_->Open();
  std::atomic<int> done{0};
  std::mutex mutex;
  std::multiset<TaskId> taken;
  std::stop_source stop;
  const auto work = [&](TaskQueue& queue) {
    LeaseRequest request = Request(3, "tasks");
    request.wait_max = kForever;
    request.stop = stop.get_token();
    while (done < kTasks) {
      const auto leases = queue.TakeLeases(request);
      ASSERT_TRUE(leases.ok()) << leases.message();
      for (const Lease& lease : *leases) {
        const Completion completion{lease, {}, {}};
        const auto answers = queue.Complete(std::span(&completion, 1));
        ASSERT_TRUE(answers.ok() && (*answers)[0].ok());
        {
          const std::lock_guard lock(mutex);
          taken.insert(lease.task.id);
        }
        if (++done == kTasks) stop.request_stop();
      }
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] { work(i % 2 == 0 ? *queue_ : *other); });
  }
  for (int i = 0; i < kTasks / 2; ++i) {
    ASSERT_TRUE(queue_->Enqueue(MakeTask()).ok());
    ASSERT_TRUE(other->Enqueue(MakeTask()).ok());
  }
  threads.clear();
  EXPECT_EQ(taken.size(), static_cast<size_t>(kTasks));
  EXPECT_EQ(std::set<TaskId>(taken.begin(), taken.end()).size(), static_cast<size_t>(kTasks));
}

}  // namespace msearch::queue
