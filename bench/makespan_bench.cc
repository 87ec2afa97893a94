// n tasks of equal length on w worker processes, each of which takes one at a time: how long the
// whole takes, beside ceil(n / w) lengths, which nothing can beat. Tasks sleep, so that 64 workers
// need no 64 cores. And what a death costs: a worker killed with a task in hand, until somebody
// else has it; Redis killed while workers are at work, until they go on.
//
//   makespan_bench [LENGTH in ms, 500]
//   makespan_bench restart
//
// Runs on the embedded queue and, where redis-server is installed, on one of those.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "queue/redis_queue.h"
#include "queue/worker.h"
#include "support/program.h"
#include "support/redis_server.h"

namespace msearch::queue {
namespace {

using Steady = std::chrono::steady_clock;
using test::Program;
using test::RedisServer;

constexpr Milliseconds kLease{2000};

template <typename T>
T Must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.message().c_str());
  std::exit(1);
}

// "redis:PORT", or the path of an embedded one.
std::unique_ptr<TaskQueue> Open(const std::string& place) {
  if (place.starts_with("redis:")) {
    RedisQueueOptions options;
    options.server.port = std::atoi(place.c_str() + 6);
    return Must(OpenRedisQueue(options));
  }
  EmbeddedOptions options;
  options.path = place;
  return Must(OpenEmbeddedQueue(options));
}

void Work(const std::string& place, const std::string& number) {
  const auto queue = Open(place);
  WorkerOptions options;
  options.info.id = "w" + number;
  options.info.role = "sleeper";
  options.info.pid = getpid();
  options.queues = {"sleep"};
  options.lease_duration = kLease;
  options.handlers["sleep"] = [](std::span<const std::unique_ptr<TaskContext>> tasks) {
    for (const auto& task : tasks) {
      const int64_t length = GetInt(task->lease().task.payload, "ms").value_or(0);
      std::this_thread::sleep_for(Milliseconds(length));
    }
    return std::vector<Outcome>(tasks.size());
  };
  RunWorker(*queue, options, {}, Milliseconds(0));
}

std::vector<Program> StartWorkers(TaskQueue& queue, const std::string& place, int count) {
  std::vector<Program> workers;
  for (int i = 0; i < count; ++i)
    workers.emplace_back(std::vector<std::string>{"work", place, std::to_string(i)});
  while (static_cast<int>(Must(queue.Workers()).size()) < count) {
    std::this_thread::sleep_for(Milliseconds(20));
  }
  return workers;
}

std::vector<NewTask> Sleeps(int count, int64_t length_ms) {
  NewTask task;
  task.queue = "sleep";
  task.kind = "sleep";
  task.payload = {{"ms", length_ms}};
  return std::vector<NewTask>(static_cast<size_t>(count), task);
}

void AwaitAll(TaskQueue& queue, const std::vector<TaskId>& ids) {
  for (const TaskId& id : ids) {
    while (Must(queue.Await(id, Milliseconds(10000), {})).status != Status::kFinished) {
    }
  }
}

double SecondsOf(TaskQueue& queue, int count, int64_t length_ms) {
  const auto begin = Steady::now();
  const auto ids = Must(queue.Enqueue(Sleeps(count, length_ms)));
  AwaitAll(queue, ids);
  return std::chrono::duration<double>(Steady::now() - begin).count();
}

// Seconds from the kill of a worker that holds a task until the task is done by another, less the
// task's length.
double SecondsToRecover(TaskQueue& queue, std::vector<Program>& workers, int64_t length_ms) {
  const auto ids = Must(queue.Enqueue(Sleeps(1, length_ms)));
  Task task = Must(queue.Get(ids[0]));
  while (task.status != Status::kStarted) task = Must(queue.Get(ids[0]));
  const size_t holder = static_cast<size_t>(std::atoi(task.worker.c_str() + 1));
  const auto begin = Steady::now();
  workers[holder].Signal(SIGKILL);
  AwaitAll(queue, ids);
  return std::chrono::duration<double>(Steady::now() - begin).count() -
         static_cast<double>(length_ms) / 1000;
}

Json Measure(const std::string& name, const std::string& place, int64_t length_ms) {
  Json rows = Json::array();
  for (const auto& [workers, tasks] : {std::pair{1, 10}, {3, 10}, {5, 23}, {64, 640}}) {
    const auto queue = Open(place);
    auto programs = StartWorkers(*queue, place, workers);
    const double seconds = SecondsOf(*queue, tasks, length_ms);
    const int rounds = (tasks + workers - 1) / workers;
    const double least = rounds * static_cast<double>(length_ms) / 1000;
    std::printf("%-9s %3d tasks on %2d workers: %.3f s, %d lengths are %.3f s: %.3f times\n",
                name.c_str(), tasks, workers, seconds, rounds, least, seconds / least);
    std::fflush(stdout);
    rows.push_back({{"queue", name},
                    {"tasks", tasks},
                    {"workers", workers},
                    {"seconds", seconds},
                    {"least", least},
                    {"ratio", seconds / least}});
    if (workers != 3) continue;
    const double recovery = SecondsToRecover(*queue, programs, length_ms);
    std::printf(
        "%-9s kill -9 of a worker with a task: another has it after %.2f s, the lease is "
        "%.0f s\n",
        name.c_str(), recovery, std::chrono::duration<double>(kLease).count());
    rows.push_back({{"queue", name}, {"recovery_seconds", recovery}});
  }
  return rows;
}

// Redis killed and started again on its file while workers are at work on 1,000 tasks.
Json MeasureRestart() {
  constexpr size_t kTasks = 1000;
  RedisServer redis({"--appendonly", "yes", "--appendfsync", "always"});
  const std::string place = "redis:" + std::to_string(redis.port());
  const auto queue = Open(place);
  const auto workers = StartWorkers(*queue, place, 4);
  const auto ids = Must(queue->Enqueue(Sleeps(kTasks, 5)));
  // While Redis is away there is no answer, and nothing finished that is known of.
  const auto finished = [&] {
    const auto stats = queue->Stats();
    return stats.ok() && !stats->empty() ? static_cast<size_t>(stats->front().finished) : 0;
  };
  const auto await = [&](size_t count) {
    while (finished() < count) std::this_thread::sleep_for(Milliseconds(2));
  };
  await(kTasks / 10);
  redis.Kill();
  redis.Restart();
  const auto begin = Steady::now();
  const auto since = [&] { return std::chrono::duration<double>(Steady::now() - begin).count(); };
  size_t before = 0;
  while ((before = finished()) == 0) std::this_thread::sleep_for(Milliseconds(2));
  await(before + 1);
  const double back = since();
  await(kTasks);
  const double all = since();
  size_t once = 0;
  for (const TaskId& id : ids) {
    const auto events = Must(queue->Events(id));
    once += std::count_if(events.begin(), events.end(),
                          [](const TaskEvent& event) { return event.what == "finished"; }) == 1;
  }
  std::printf(
      "redis     restarted after %zu of %zu tasks: workers finish the next one %.2f s after it "
      "answers, all %.2f s after; %zu done, each once\n",
      before, kTasks, back, all, once);
  return {{"restarted_after", before}, {"workers_back_seconds", back}, {"done_once", once}};
}

}  // namespace
}  // namespace msearch::queue

int main(int argc, char** argv) {
  using namespace msearch;
  if (argc == 4 && std::string(argv[1]) == "work") {
    queue::Work(argv[2], argv[3]);
    return 0;
  }
  if (argc == 2 && std::string(argv[1]) == "restart") {
    std::cout << DumpJson(queue::MeasureRestart()) << "\n";
    return 0;
  }
  const int64_t length_ms = argc > 1 ? std::atoll(argv[1]) : 500;
  const TemporaryDirectory directory;
  Json rows = queue::Measure("embedded", directory.path() + "/queue.db", length_ms);
  if (test::RedisServer::Available()) {
    const test::RedisServer redis;
    const Json more = queue::Measure("redis", "redis:" + std::to_string(redis.port()), length_ms);
    rows.insert(rows.end(), more.begin(), more.end());
    rows.push_back(queue::MeasureRestart());
  } else {
    std::printf("redis: no redis-server on this machine\n");
  }
  std::cout << DumpJson({{"length_ms", length_ms}, {"rows", rows}}) << "\n";
  return 0;
}
