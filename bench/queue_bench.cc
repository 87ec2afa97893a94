// The embedded task queue beside a bare loop that writes the same rows to a table without indexes,
// in the same number of transactions, from the same number of processes, with the same settings
// of SQLite. Runs of both alternate, so that a noisy machine disturbs both alike; the ratio is
// that of the medians.
//
//   queue_bench [TASKS per process] [ROUNDS]
//
// Prints a table, and one line of JSON at the end.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "queue/embedded_schema.h"
#include "queue/task_queue.h"
#include "storage/sqlite.h"
#include "support/program.h"

namespace msearch::queue {
namespace {

using Steady = std::chrono::steady_clock;
using test::Program;

constexpr int kProcesses = 2;

template <typename T>
T Must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.message().c_str());
  std::exit(1);
}

double SecondsSince(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

NewTask MakeTask(int number) {
  NewTask task;
  task.queue = "tasks";
  task.kind = "noop";
  task.payload = {{"path", "/photos/2024/07/IMG_" + std::to_string(number) + ".jpg"},
                  {"content", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"}};
  return task;
}

std::unique_ptr<TaskQueue> OpenQueue(const std::string& path) {
  EmbeddedOptions options;
  options.path = path;
  return Must(OpenEmbeddedQueue(options));
}

LeaseRequest Request(const std::string& worker, size_t count) {
  LeaseRequest request;
  request.worker = worker;
  request.queues = {"tasks"};
  request.count_max = count;
  return request;
}

std::vector<Completion> CompletionsOf(std::vector<Lease> leases) {
  std::vector<Completion> completions;
  for (Lease& lease : leases) completions.push_back({std::move(lease), Json::object(), {}});
  return completions;
}

// --- What the processes do. Each prints the seconds of its loop into PATH.seconds.N.

void WriteSeconds(const std::string& path, const std::string& number, double seconds) {
  Must(WriteFileAtomically(path + ".seconds." + number, std::to_string(seconds)));
}

// `batch` tasks in each of three transactions: enqueued, leased, completed.
double QueueLoop(const std::string& path, const std::string& worker, int tasks, int batch) {
  const auto queue = OpenQueue(path);
  const LeaseRequest request = Request(worker, static_cast<size_t>(batch));
  const Steady::time_point start = Steady::now();
  for (int i = 0; i < tasks; i += batch) {
    std::vector<NewTask> added;
    for (int j = 0; j < batch; ++j) added.push_back(MakeTask(i + j));
    Must(queue->Enqueue(added));
    Must(queue->Complete(CompletionsOf(Must(queue->TakeLeases(request)))));
  }
  return SecondsSince(start);
}

constexpr const char* kBareTable =
    "PRAGMA wal_autocheckpoint=16000;"
    "CREATE TABLE IF NOT EXISTS task(row INTEGER PRIMARY KEY, tail INTEGER, queue INTEGER,"
    " state INTEGER, due INTEGER, priority INTEGER, created_at INTEGER, available_at INTEGER, "
    "timeout INTEGER,"
    " attempts INTEGER, started_at INTEGER, epoch INTEGER,"
    " counter INTEGER, kind TEXT, worker TEXT, events TEXT, payload TEXT, result TEXT)";

// The same columns, written as the queue writes them.
double BareLoop(const std::string& path, const std::string& worker, int tasks, int batch) {
  const auto db = Must(storage::Sqlite::Open(path));
  Must(db->Execute(kBareTable));
  const int64_t first = worker.back() == '0' ? 0 : int64_t{1} << 40;
  const Steady::time_point start = Steady::now();
  for (int i = 0; i < tasks; i += batch) {
    const int64_t now = SystemClock().NowMs();
    const auto each = [&](auto body) {
      Must(db->Transact([&]() -> Result<> {
        for (int j = 0; j < batch; ++j) TRY(body(first + i + j));
        return Ok{};
      }));
    };
    each([&](int64_t row) {
      return db->Run(
          "INSERT INTO task(row, tail, queue, state, due, priority, created_at, available_at,"
          " timeout, attempts, kind, events, payload) VALUES(?1, ?2, 1, 4, 1, 1, ?3, ?3, 600000, "
          "0, 'noop', '',"
          " ?4)",
          row, RandomTail(), now, DumpJson(MakeTask(static_cast<int>(row)).payload));
    });
    each([&](int64_t row) {
      return db->Run(
          "UPDATE task SET state = 3, started_at = ?2, due = ?3, epoch = 0, counter = ?4,"
          " worker = ?5, events = events || ?6 WHERE row = ?1",
          row, now, now + 15000, row, worker,
          EventLine(EventKind::kStarted, Milliseconds(1), worker));
    });
    each([&](int64_t row) {
      return db->Run(
          "UPDATE task SET state = 2, due = ?2, attempts = 1,"
          " result = '{}', events = events || ?3 WHERE row = ?1",
          row, now, EventLine(EventKind::kFinished, Milliseconds(1)));
    });
  }
  return SecondsSince(start);
}

// Leases and completes until killed or stopped; writes down each completion that was acknowledged.
void DrainLoop(const std::string& path, const std::string& worker) {
  const auto queue = OpenQueue(path);
  const Fd log = Must(OpenFile(path + ".acknowledged", O_WRONLY | O_CREAT | O_APPEND));
  LeaseRequest request = Request(worker, 1);
  request.duration = Milliseconds(300);
  request.wait_max = Milliseconds(100);
  while (true) {
    for (const Lease& lease : Must(queue->TakeLeases(request))) {
      const Completion completion{lease, Json::object(), {}};
      if (Must(queue->Complete(std::span(&completion, 1)))[0].ok()) {
        Must(WriteAll(log.get(), lease.task.id + "\n"));
      }
    }
  }
}

// Completes one at a time, waiting in between.
void ServeLoop(const std::string& path, const std::string& worker) {
  const auto queue = OpenQueue(path);
  LeaseRequest request = Request(worker, 1);
  request.wait_max = std::chrono::hours(1);
  while (true) Must(queue->Complete(CompletionsOf(Must(queue->TakeLeases(request)))));
}

int RunRole(int argc, char** argv) {
  const std::string role = argv[2];
  const std::string path = argv[3];
  const std::string number = argv[4];
  const std::string worker = "bench-host:12345:task_worker:" + number;
  if (role == "drain") DrainLoop(path, worker);
  if (role == "serve") ServeLoop(path, worker);
  if (argc < 7) return 2;
  const int tasks = std::atoi(argv[5]);
  const int batch = std::atoi(argv[6]);
  const auto loop = role == "bare" ? BareLoop : QueueLoop;
  WriteSeconds(path, number, loop(path, worker, tasks, batch));
  return 0;
}

// --- Measurements

// Tasks a second of all processes together.
double Throughput(const std::string& role, int tasks, int batch) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/" + role + ".db";
  if (role == "queue") {
    OpenQueue(path);
  } else {
    Must(Must(storage::Sqlite::Open(path))->Execute(kBareTable));
  }
  std::vector<Program> programs;
  for (int i = 0; i < kProcesses; ++i) {
    programs.emplace_back(std::vector<std::string>{"role", role, path, std::to_string(i),
                                                   std::to_string(tasks), std::to_string(batch)});
  }
  double slowest = 0;
  for (int i = 0; i < kProcesses; ++i) {
    if (programs[static_cast<size_t>(i)].Wait() != 0) std::exit(1);
    const std::string seconds = Must(ReadFile(path + ".seconds." + std::to_string(i)));
    slowest = std::max(slowest, std::stod(seconds));
  }
  return kProcesses * tasks / slowest;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Json CompareThroughput(int tasks, int batch, int rounds) {
  std::vector<double> bare;
  std::vector<double> queue;
  for (int i = 0; i < rounds; ++i) {
    bare.push_back(Throughput("bare", tasks, batch));
    queue.push_back(Throughput("queue", tasks, batch));
  }
  const double ratio = Median(queue) / Median(bare);
  std::printf("batches of %-3d   bare %8.0f/s   queue %8.0f/s   ratio %.2f\n", batch, Median(bare),
              Median(queue), ratio);
  return {{"batch", batch}, {"bare", Median(bare)}, {"queue", Median(queue)}, {"ratio", ratio}};
}

// One step after the other in one process, with `filled` tasks queued before.
Json MeasureSteps(int tasks, int filled) {
  const TemporaryDirectory directory;
  const auto queue = OpenQueue(directory.path() + "/queue.db");
  std::vector<NewTask> many(1000);
  for (int i = 0; i < filled; i += 1000) {
    for (int j = 0; j < 1000; ++j) many[static_cast<size_t>(j)] = MakeTask(i + j);
    Must(queue->Enqueue(many));
  }
  const auto rate = [&](auto step) {
    const Steady::time_point start = Steady::now();
    for (int i = 0; i < tasks; ++i) step(i);
    return tasks / SecondsSince(start);
  };
  std::vector<Lease> leases;
  const double enqueued = rate([&](int i) { Must(queue->Enqueue(MakeTask(i))); });
  const double leased = rate(
      [&](int) { leases.push_back(std::move(Must(queue->TakeLeases(Request("worker", 1)))[0])); });
  const double completed =
      rate([&](int i) { Must(queue->Complete(CompletionsOf({leases[static_cast<size_t>(i)]}))); });
  const Steady::time_point stats_start = Steady::now();
  for (int i = 0; i < 20; ++i) Must(queue->Stats());
  const double stats = 20 / SecondsSince(stats_start);
  std::vector<double> lists;
  for (const Status status : {Status::kQueued, Status::kStarted, Status::kFinished}) {
    TaskFilter filter;
    filter.queue = "tasks";
    filter.status = status;
    const Steady::time_point start = Steady::now();
    Must(queue->List(filter));
    lists.push_back(SecondsSince(start) * 1000);
  }
  std::printf(
      "%7d queued    enqueue %6.0f/s  lease %6.0f/s  complete %6.0f/s  stats %6.0f/s"
      "  list queued %.1f ms, started %.1f ms, finished %.1f ms\n",
      filled, enqueued, leased, completed, stats, lists[0], lists[1], lists[2]);
  return {{"filled", filled}, {"list_ms", lists},      {"enqueue", enqueued},
          {"lease", leased},  {"complete", completed}, {"stats", stats}};
}

// From submitting to seeing the result, through an idle worker in another process.
Json MeasureRoundTrip(int tasks) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue.db";
  const auto queue = OpenQueue(path);
  const Program worker({"role", "serve", path, "0"});
  Must(queue->Await(Must(queue->Enqueue(MakeTask(0))), std::chrono::minutes(1), {}));
  std::vector<double> times;
  for (int i = 0; i < tasks; ++i) {
    const Steady::time_point start = Steady::now();
    Must(queue->Await(Must(queue->Enqueue(MakeTask(i))), std::chrono::minutes(1), {}));
    times.push_back(SecondsSince(start) * 1000);
  }
  std::sort(times.begin(), times.end());
  const double p50 = times[times.size() / 2];
  const double p99 = times[times.size() * 99 / 100];
  std::printf("submit to result, one idle worker: p50 %.3f ms  p99 %.3f ms\n", p50, p99);
  return {{"p50_ms", p50}, {"p99_ms", p99}};
}

// Workers that are killed all the time: how many acknowledged tasks were lost or done twice.
Json MeasureKills(int tasks) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue.db";
  const auto queue = OpenQueue(path);
  std::set<TaskId> accepted;
  std::vector<Program> workers;
  const auto start = [&](int i) { return Program({"role", "drain", path, std::to_string(i)}); };
  for (int i = 0; i < kProcesses; ++i) workers.push_back(start(i));
  std::mt19937 random(42);
  int kills = 0;
  for (int i = 0; i < tasks; ++i) {
    NewTask task = MakeTask(i);
    task.retry.losses_max = 1000;
    accepted.insert(Must(queue->Enqueue(task)));
    if (random() % 25 != 0) continue;
    Program& victim = workers[random() % workers.size()];
    victim.Signal(SIGKILL);
    victim.Wait();
    victim = start(i);
    ++kills;
  }
  for (const TaskId& id : accepted) Must(queue->Await(id, std::chrono::minutes(5), {}));
  workers.clear();
  std::map<std::string, int> acknowledged;
  const std::string log = Must(ReadFile(path + ".acknowledged"));
  for (const std::string_view id : Split(log, '\n')) {
    if (!id.empty()) ++acknowledged[std::string(id)];
  }
  int lost = 0;
  int twice = 0;
  for (const TaskId& id : accepted) {
    const std::vector<TaskEvent> events = Must(queue->Events(id));
    const auto finishes = std::count_if(events.begin(), events.end(), [](const TaskEvent& event) {
      return event.what == "finished";
    });
    lost += finishes == 0;
    twice += finishes > 1 || acknowledged[id] > 1;
  }
  std::printf("%d tasks, %d workers killed: %d lost, %d done twice\n", tasks, kills, lost, twice);
  return {{"tasks", tasks}, {"kills", kills}, {"lost", lost}, {"twice", twice}};
}

int Main(int tasks, int rounds) {
  Json report;
  report["processes"] = kProcesses;
  for (const int batch : {1, 16})
    report["throughput"].push_back(CompareThroughput(tasks, batch, rounds));
  for (const int filled : {0, 1'000'000}) report["steps"].push_back(MeasureSteps(5000, filled));
  report["round_trip"] = MeasureRoundTrip(2000);
  report["kills"] = MeasureKills(2000);
  std::cout << DumpJson(report) << "\n";
  return 0;
}

}  // namespace
}  // namespace msearch::queue

int main(int argc, char** argv) {
  if (argc >= 5 && std::string_view(argv[1]) == "role") return msearch::queue::RunRole(argc, argv);
  const int tasks = argc > 1 ? std::atoi(argv[1]) : 20000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  return msearch::queue::Main(tasks, rounds);
}
