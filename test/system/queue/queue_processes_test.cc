// The queue between real processes that are killed and stopped at bad moments, with each back end.
// What a task does here, its effect, is a follow-up in the queue "effects", so the queue itself
// tells how often it was done.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "queue/redis_queue.h"
#include "queue/worker.h"
#include "support/program.h"
#include "support/redis_server.h"

namespace msearch::queue {
namespace {

using test::Program;

constexpr Milliseconds kForever{3'600'000};
constexpr int kSkipped = 77;

// A path is the embedded queue there; "PATH@PORT" the one in the Redis server on that port, for
// whose tests files beside PATH may be used.
std::unique_ptr<TaskQueue> OpenQueue(const std::string& place) {
  const size_t at = place.find('@');
  Result<std::unique_ptr<TaskQueue>> queue = Error{};
  if (at == std::string::npos) {
    EmbeddedOptions options;
    options.path = place;
    options.look_every = kForever;  // so that a lost wake can't hide
    queue = OpenEmbeddedQueue(options);
  } else {
    RedisQueueOptions options;
    options.server.port = std::stoi(place.substr(at + 1));
    options.look_every = kForever;
    queue = OpenRedisQueue(options);
  }
  if (!queue.ok()) {
    std::fprintf(stderr, "%s\n", queue.message().c_str());
    _exit(1);
  }
  return *std::move(queue);
}

NewTask MakeTask(const std::string& queue) {
  NewTask task;
  task.queue = queue;
  task.kind = "work";
  task.retry.losses_max = 1000;
  return task;
}

LeaseRequest Request(const std::string& worker, Milliseconds duration, Milliseconds wait_max) {
  LeaseRequest request;
  request.worker = worker;
  request.queues = {"tasks"};
  request.duration = duration;
  request.wait_max = wait_max;
  return request;
}

NewTask EffectOf(const TaskId& id) {
  NewTask effect = MakeTask("effects");
  effect.parent = id;
  return effect;
}

// --- What the other processes do

// Works until killed.
int Work(const std::string& path, const std::string& name) {
  const auto queue = OpenQueue(path);
  while (true) {
    const auto leases = queue->TakeLeases(Request(name, Milliseconds(300), kForever));
    if (!leases.ok()) return 1;
    for (const Lease& lease : *leases) {
      const Completion completion{lease, Json::object(), {EffectOf(lease.task.id)}};
      if (!queue->Complete(std::span(&completion, 1)).ok()) return 1;
    }
  }
}

// Enqueues until killed, and writes down what was accepted.
int Produce(const std::string& path, const std::string& name) {
  const auto queue = OpenQueue(path);
  const auto log = OpenFile(path + "." + name, O_WRONLY | O_CREAT | O_APPEND);
  while (true) {
    const auto id = queue->Enqueue(MakeTask("tasks"));
    if (!id.ok() || !WriteAll(log->get(), *id + "\n").ok()) return 1;
  }
}

// Is stopped between lease and completion; 0 if everything that it says afterwards is refused.
int Oversleep(const std::string& path, const std::string& name) {
  const auto queue = OpenQueue(path);
  const auto leases = queue->TakeLeases(Request(name, Milliseconds(200), kForever));
  if (!leases.ok() || leases->size() != 1) return 1;
  raise(SIGSTOP);
  const Lease& lease = (*leases)[0];
  const Completion completion{lease, Json::object(), {EffectOf(lease.task.id)}};
  const auto answers = queue->Complete(std::span(&completion, 1));
  if (!answers.ok() || (*answers)[0].ok() || (*answers)[0].code() != Code::kStale) return 2;
  const Result<> failed = queue->Fail({lease, {Code::kInvalid, "it: broke"}});
  if (failed.ok() || failed.code() != Code::kStale) return 3;
  if (queue->Release(lease, Milliseconds(0)).ok()) return 4;
  if (queue->SetProgress(lease, {1, "late", ""}).ok()) return 5;
  const auto held = queue->Extend(*leases, Milliseconds(1000));
  return held.ok() && !(*held)[0].held ? 0 : 6;
}

// A worker as the program has it, ended by SIGTERM.
int RunLoop(const std::string& path, const std::string& name) {
  const auto queue = OpenQueue(path);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  WorkerOptions options;
  options.info.id = name;
  options.queues = {"tasks"};
  options.batch_max = 7;
  options.handlers["work"] = [](std::span<const std::unique_ptr<TaskContext>> tasks) {
    std::vector<Outcome> outcomes(tasks.size());
    for (size_t i = 0; i < tasks.size(); ++i) {
      outcomes[i].follow_ups = {EffectOf(tasks[i]->lease().task.id)};
    }
    return outcomes;
  };
  std::jthread worker(
      [&](const std::stop_token& stop) { RunWorker(*queue, options, stop, kForever); });
  int signal = 0;
  sigwait(&signals, &signal);
  worker.request_stop();
  worker.join();
  return 0;
}

// On a disk of its own that is nearly full.
int FillDisk(const std::string& directory, const std::string&) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kSkipped;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=4m") != 0) {
    return kSkipped;
  }
  const std::string filler = directory + "/filler";
  if (!WriteFileAtomically(filler, std::string(1 << 20, 'x')).ok()) return 1;
  const auto queue = OpenQueue(directory + "/queue.db");
  NewTask task = MakeTask("tasks");
  task.payload = {{"bytes", std::string(5000, 'x')}};
  std::vector<TaskId> accepted;
  Result<TaskId> id = queue->Enqueue(task);
  for (; id.ok(); id = queue->Enqueue(task)) accepted.push_back(*id);
  if (id.code() != Code::kExhausted || accepted.size() < 5) return 2;
  for (const TaskId& one : accepted) {
    if (!queue->Get(one).ok()) return 3;
  }
  if (*queue->Count({}) != static_cast<int64_t>(accepted.size())) return 4;
  // Room again: everything goes on where it was.
  unlink(filler.c_str());
  for (size_t i = 0; i < 5; ++i) {
    const auto leases = queue->TakeLeases(Request("worker", kForever, Milliseconds(0)));
    if (!leases.ok() || leases->size() != 1 || (*leases)[0].task.id != accepted[i]) return 5;
    const Completion completion{(*leases)[0], Json::object(), {}};
    const auto answers = queue->Complete(std::span(&completion, 1));
    if (!answers.ok() || !(*answers)[0].ok()) {
      std::fprintf(stderr, "%s\n",
                   (answers.ok() ? (*answers)[0].error() : answers.error()).message.c_str());
      return 6;
    }
  }
  return 0;
}

int RunRole(const std::string& role, const std::string& path, const std::string& name) {
  if (role == "work") return Work(path, name);
  if (role == "produce") return Produce(path, name);
  if (role == "oversleep") return Oversleep(path, name);
  if (role == "loop") return RunLoop(path, name);
  if (role == "fill") return FillDisk(path, name);
  return 2;
}

// --- The tests

class QueueProcesses : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "redis") {
      if (!test::RedisServer::Available()) GTEST_SKIP() << "no redis-server";
      server_ = std::make_unique<test::RedisServer>();
      path_ += "@" + std::to_string(server_->port());
    }
    queue_ = OpenQueue(path_);
  }

  Program Start(const std::string& role, const std::string& name) {
    return Program({"role", role, path_, name});
  }

  std::vector<TaskId> Enqueue(int count) {
    const std::vector<NewTask> tasks(static_cast<size_t>(count), MakeTask("tasks"));
    const auto ids = queue_->Enqueue(tasks);
    EXPECT_TRUE(ids.ok());
    return *ids;
  }

  // Every task finished, with its effect, and each exactly once.
  void ExpectDoneOnce(const std::vector<TaskId>& ids) {
    for (const TaskId& id : ids) {
      EXPECT_EQ(queue_->Await(id, kForever, {})->status, Status::kFinished);
    }
    TaskFilter filter;
    filter.queue = "effects";
    filter.limit = 10000;
    std::map<TaskId, int> effects;
    const auto done = queue_->List(filter);
    for (const Task& effect : *done) ++effects[effect.parent];
    EXPECT_EQ(effects.size(), ids.size());
    for (const TaskId& id : ids) {
      EXPECT_EQ(effects[id], 1) << id;
      const auto events = queue_->Events(id);
      EXPECT_EQ(std::count_if(events->begin(), events->end(),
                              [](const TaskEvent& event) { return event.what == "finished"; }),
                1);
    }
  }

  TemporaryDirectory directory_;
  std::unique_ptr<test::RedisServer> server_;
  std::string path_ = directory_.path() + "/queue.db";
  std::unique_ptr<TaskQueue> queue_;
};

INSTANTIATE_TEST_SUITE_P(BackEnds, QueueProcesses, testing::Values("embedded", "redis"),
                         [](const auto& name) { return name.param; });

TEST_P(QueueProcesses, KilledWorkersLoseNothingAndDoNothingTwice) {
  std::vector<Program> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(Start("work", "worker-" + std::to_string(i)));
  std::mt19937 random(7);
  std::vector<TaskId> ids;
  for (int round = 0; round < 40; ++round) {
    // Some of what is enqueued is under way when the next one dies.
    const std::vector<TaskId> more = Enqueue(static_cast<int>(1 + random() % 12));
    ids.insert(ids.end(), more.begin(), more.end());
    if (random() % 2 == 0) queue_->Await(ids[random() % ids.size()], Milliseconds(20), {}).ok();
    Program& victim = workers[random() % workers.size()];
    victim.Signal(SIGKILL);
    EXPECT_EQ(victim.Wait(), -SIGKILL);
    victim = Start("work", "worker-" + std::to_string(3 + round));
  }
  ExpectDoneOnce(ids);
}

TEST_P(QueueProcesses, WhatWasAcceptedSurvivesItsProducer) {
  std::set<TaskId> accepted;
  for (int round = 0; round < 8; ++round) {
    const std::string name = "producer-" + std::to_string(round);
    Program producer = Start("produce", name);
    while (!ReadFile(path_ + "." + name).ok()) std::this_thread::yield();
    const auto before = queue_->Count({});
    while (*queue_->Count({}) < *before + 5 * (round + 1)) std::this_thread::yield();
    producer.Signal(SIGKILL);
    producer.Wait();
    const auto log = ReadFile(path_ + "." + name);
    for (const std::string_view id : Split(*log, '\n')) {
      if (id.size() == 27) accepted.emplace(id);
    }
  }
  EXPECT_FALSE(accepted.empty());
  for (const TaskId& id : accepted) EXPECT_TRUE(queue_->Get(id).ok()) << id;
  // At most the one on its way at each kill was stored without an answer.
  EXPECT_LE(*queue_->Count({}), static_cast<int64_t>(accepted.size()) + 8);
}

TEST_P(QueueProcesses, WorkerStoppedBeyondItsLeaseChangesNothing) {
  Program sleeper = Start("oversleep", "sleeper");
  const TaskId id = Enqueue(1)[0];
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(sleeper.pid()), &info, WSTOPPED | WEXITED | WNOWAIT),
            0);
  ASSERT_EQ(info.si_code, CLD_STOPPED);
  // Comes when the sleeper's lease has run out.
  const auto leases = queue_->TakeLeases(Request("successor", kForever, kForever));
  ASSERT_EQ(leases->size(), 1U);
  EXPECT_EQ((*leases)[0].task.id, id);
  EXPECT_EQ((*leases)[0].task.losses, 1);
  sleeper.Signal(SIGCONT);
  EXPECT_EQ(sleeper.Wait(), 0);
  EXPECT_EQ(queue_->Get(id)->status, Status::kStarted);
  EXPECT_EQ(queue_->Get(id)->progress.stage, "");
  const Completion completion{(*leases)[0], Json::object(), {EffectOf(id)}};
  EXPECT_TRUE((*queue_->Complete(std::span(&completion, 1)))[0].ok());
  ExpectDoneOnce({id});
}

TEST_P(QueueProcesses, TwoWorkersRaceWithoutTakingATaskTwice) {
  Program first = Start("loop", "first");
  Program second = Start("loop", "second");
  const std::vector<TaskId> ids = Enqueue(2000);
  ExpectDoneOnce(ids);
  for (const TaskId& id : ids) EXPECT_EQ(queue_->Events(id)->size(), 3U) << id;
  for (Program* worker : {&first, &second}) {
    worker->Signal(SIGTERM);
    EXPECT_EQ(worker->Wait(), 0);
  }
  EXPECT_TRUE(queue_->Workers()->empty());
}

TEST_P(QueueProcesses, ProcessesWakeEachOther) {
  const Program worker = Start("work", "worker");
  // One at a time, so that the worker waits before each and this process after each.
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(queue_->Await(Enqueue(1)[0], kForever, {})->status, Status::kFinished);
  }
}

TEST(EmbeddedQueueProcesses, FullDiskIsSaidAndLosesNothing) {
  const TemporaryDirectory mount_point;
  Program program({"role", "fill", mount_point.path(), ""});
  const int status = program.Wait();
  if (status == kSkipped) GTEST_SKIP() << "no right to mount a disk";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace msearch::queue

int main(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[1]) == "role") {
    return msearch::queue::RunRole(argv[2], argv[3], argv[4]);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
