// The task queue in Redis beside BullMQ, Celery and RQ on one server, and beside a bare pipelined
// script that makes the same writes. Runs alternate, so that a noisy machine disturbs all alike;
// ratios are those of the medians. No-op tasks, payloads of 100 bytes, stored results.
//
//   redis_queue_bench [TASKS] [ROUNDS] [nopeers]
//   redis_queue_bench latency [nopeers]
//
// Prints a table, and one line of JSON at the end.
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "queue/redis_queue.h"
#include "queue/worker.h"
#include "support/program.h"
#include "support/redis_server.h"

namespace msearch::queue {
namespace {

using Steady = std::chrono::steady_clock;
using storage::RedisCommand;
using test::Program;
using test::RedisServer;

constexpr size_t kBulk = 1000;
constexpr int kWorkers = 3;  // processes

template <typename T>
T Must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.message().c_str());
  std::exit(1);
}

double SecondsSince(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

NewTask MakeTask(size_t number) {
  NewTask task;
  task.queue = "tasks";
  task.kind = "noop";
  std::string path = "/photos/2024/07/IMG_" + std::to_string(number) + ".jpg";
  path.resize(40, '_');
  task.payload = {{"path", path}, {"content", "9f86d081884c7d659a2feaa0c55ad015a3bf"}};
  return task;
}

std::unique_ptr<TaskQueue> OpenQueue(int port) {
  RedisQueueOptions options;
  options.server.port = port;
  return Must(OpenRedisQueue(options));
}

void Fill(TaskQueue& queue, size_t count) {
  std::vector<NewTask> tasks;
  for (size_t i = 0; i < count; ++i) {
    tasks.push_back(MakeTask(i));
    if (tasks.size() < kBulk && i + 1 < count) continue;
    Must(queue.Enqueue(tasks));
    tasks.clear();
  }
}

// --- What the processes do

int Work(int port, const std::string& number, size_t batch) {
  const auto queue = OpenQueue(port);
  WorkerOptions options;
  options.info.id = "bench:1:worker:" + number;
  options.queues = {"tasks"};
  options.batch_max = batch;
  options.handlers["noop"] = [](std::span<const std::unique_ptr<TaskContext>> tasks) {
    return std::vector<Outcome>(tasks.size());
  };
  RunWorker(*queue, options, {}, Milliseconds(0));
  return 0;
}

// --- Measurements, each on an empty server

double BulkRate(const RedisServer& server, size_t count) {
  server.Call({"FLUSHALL"});
  const auto queue = OpenQueue(server.port());
  const Steady::time_point start = Steady::now();
  Fill(*queue, count);
  return static_cast<double>(count) / SecondsSince(start);
}

double ProcessRate(const RedisServer& server, size_t count, int processes, size_t batch) {
  server.Call({"FLUSHALL"});
  const auto queue = OpenQueue(server.port());
  Must(queue->Pause("tasks"));
  Fill(*queue, count);
  std::vector<Program> workers;
  for (int i = 0; i < processes; ++i) {
    workers.emplace_back(std::vector<std::string>{"role", "work", std::to_string(server.port()),
                                                  std::to_string(i), std::to_string(batch)});
  }
  while (Must(queue->Workers()).size() < static_cast<size_t>(processes)) {
    std::this_thread::sleep_for(Milliseconds(5));
  }
  const Steady::time_point start = Steady::now();
  Must(queue->Resume("tasks"));
  const std::string wanted = std::to_string(count);
  while (server.Call({"LLEN", "queue:tasks:completed"}) != wanted) {
    std::this_thread::sleep_for(Milliseconds(2));
  }
  return static_cast<double>(count) / SecondsSince(start);
}

// The same writes as leasing and completing `batch` tasks, and nothing else: no check, no reading.
constexpr char kBareWork[] = R"lua(
local n = tonumber(ARGV[1])
local ids = redis.call('LPOP', 'queue:tasks:priority:normal', n)
redis.call('LPOP', 'queue:tasks:pending', n)
local leases, claims = {}, {}
for i, id in ipairs(ids) do
  redis.call('HSET', 'task:' .. id .. ':status', 'status', 'started', 'lease', ARGV[2])
  claims[i] = id .. ' 0 123456'
  leases[2 * i - 1], leases[2 * i] = 1750000000000, claims[i]
end
redis.call('ZADD', 'queue:tasks:leases', unpack(leases))
redis.call('SADD', 'queue:tasks:processing', unpack(ids))
for _, id in ipairs(ids) do
  redis.call('HSET', 'task:' .. id .. ':status', 'status', 'finished', 'end', '1750000000000')
  redis.call('SET', 'task:' .. id .. ':result', '{}', 'PX', 7200000)
end
redis.call('ZREM', 'queue:tasks:leases', unpack(claims))
redis.call('SREM', 'queue:tasks:processing', unpack(ids))
redis.call('RPUSH', 'queue:tasks:completed', unpack(ids))
return 1
)lua";

// The same writes as enqueueing; ARGV are definitions.
constexpr char kBareBulk[] = R"lua(
local base = redis.call('INCRBY', 'serial', #ARGV)
local ids = {}
for i, definition in ipairs(ARGV) do
  local id = 't01JZZZZZZZ' .. string.format('%016d', base - i)
  ids[i] = id
  redis.call('HSET', 'task:' .. id .. ':status', 'status', 'queued', 'i', base - i,
             0, string.sub(definition, 1, 64), 1, string.sub(definition, 65, 128),
             2, string.sub(definition, 129))
end
redis.call('RPUSH', 'queue:index:' .. base, unpack(ids))
redis.call('RPUSH', 'queue:tasks:priority:normal', unpack(ids))
redis.call('RPUSH', 'queue:tasks:pending', unpack(ids))
return 1
)lua";

// Sends `calls` commands, a few of them under way at a time.
void Pipeline(const RedisServer& server, const std::vector<RedisCommand>& calls) {
  const auto deadline = Steady::now() + std::chrono::minutes(5);
  const auto connection =
      Must(storage::RedisConnection::Open({"127.0.0.1", server.port()}, nullptr, deadline));
  constexpr size_t kUnderWay = 8;
  size_t sent = 0;
  for (size_t received = 0; received < calls.size(); ++received) {
    std::string bytes;
    for (; sent < calls.size() && sent < received + kUnderWay; ++sent) {
      calls[sent].AppendTo(bytes);
    }
    Must(connection->Send(bytes, deadline));
    const auto reply = Must(connection->Receive(deadline));
    if (reply->is_error()) {
      std::fprintf(stderr, "bare script: %s\n", reply->text.c_str());
      std::exit(1);
    }
  }
}

double BareProcessRate(const RedisServer& server, size_t count, size_t batch) {
  server.Call({"FLUSHALL"});
  Fill(*OpenQueue(server.port()), count);
  const std::string sha = server.Call({"SCRIPT", "LOAD", kBareWork});
  const std::string lease = "0 123456 1750000000000 1750000015000 bench:1:worker:0";
  std::vector<RedisCommand> calls;
  for (size_t i = 0; i < count; i += batch) {
    calls.push_back(RedisCommand("EVALSHA").Add(sha).Add(0).Add(static_cast<int64_t>(batch)));
    calls.back().Add(lease);
  }
  const Steady::time_point start = Steady::now();
  Pipeline(server, calls);
  return static_cast<double>(count) / SecondsSince(start);
}

double BareBulkRate(const RedisServer& server, size_t count) {
  server.Call({"FLUSHALL"});
  const std::string sha = server.Call({"SCRIPT", "LOAD", kBareBulk});
  std::vector<RedisCommand> calls;
  for (size_t i = 0; i < count; i += kBulk) {
    calls.push_back(RedisCommand("EVALSHA").Add(sha).Add(0));
    for (size_t j = 0; j < kBulk; ++j) {
      calls.back().Add("5:tasks4:noop1:10:0:0:0:0:" + DumpJson(MakeTask(i + j).payload));
    }
  }
  const Steady::time_point start = Steady::now();
  Pipeline(server, calls);
  return static_cast<double>(count) / SecondsSince(start);
}

struct Latency {
  double p50_ms = 0;
  double p99_ms = 0;
};
Latency Percentiles(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[times.size() * 99 / 100]};
}

// One command there and back, p50 in ms, as Redis's own benchmark has it.
double RoundTrip(const RedisServer& server) {
  const std::string command = "redis-benchmark -p " + std::to_string(server.port()) +
                              " -c 1 -n 20000 -t ping_mbulk --csv 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> line{};
  double p50 = 0;
  while (pipe != nullptr && fgets(line.data(), line.size(), pipe) != nullptr) {
    const std::vector<std::string_view> fields = Split(std::string_view(line.data()), '"');
    if (fields.size() > 9) p50 = std::atof(std::string(fields[9]).c_str());
  }
  if (pipe != nullptr) pclose(pipe);
  return p50;
}

struct Trips {
  Latency result;  // submit to result seen
  Latency ping;    // one command there and back, over the same client, each before a submit
};
// Alternating, so that both meet the same machine. Whether the processors still sleep between two
// of these or not makes the pings bimodal on virtual machines, at about .02 and .06 ms; hence also
// RoundTrip.
Trips MeasureLatency(const RedisServer& server, size_t count) {
  server.Call({"FLUSHALL"});
  const auto queue = OpenQueue(server.port());
  storage::RedisOptions options;
  options.port = server.port();
  const auto redis = Must(storage::Redis::Make(options));
  const Program worker({"role", "work", std::to_string(server.port()), "0", "1"});
  std::vector<double> results;
  std::vector<double> pings;
  for (size_t i = 0; i < count + 50; ++i) {
    Steady::time_point start = Steady::now();
    Must(redis->Ask(RedisCommand("PING")));
    if (i >= 50) pings.push_back(SecondsSince(start) * 1000);
    start = Steady::now();
    Must(queue->EnqueueAndAwait(MakeTask(i), std::chrono::minutes(1), {}));
    if (i >= 50) results.push_back(SecondsSince(start) * 1000);
  }
  return {Percentiles(std::move(results)), Percentiles(std::move(pings))};
}

double UsedMemory(const RedisServer& server) {
  const std::string info = server.Call({"INFO", "memory"});
  return std::atof(info.c_str() + info.find("used_memory:") + 12);
}

double BytesPerTask(const RedisServer& server, size_t count) {
  server.Call({"FLUSHALL"});
  const auto queue = OpenQueue(server.port());
  const double before = UsedMemory(server);
  Fill(*queue, count);
  return (UsedMemory(server) - before) / static_cast<double>(count);
}

// What a worker with nothing to do costs the server, in commands a second.
double IdleCommands(const RedisServer& server) {
  server.Call({"FLUSHALL"});
  const Program worker({"role", "work", std::to_string(server.port()), "0", "1"});
  // What our functions do in there is counted under other names.
  const auto commands = [&] {
    const std::string info = server.Call({"INFO", "commandstats"});
    double sum = 0;
    for (const std::string_view line : Split(info, '\n')) {
      const size_t calls = line.find("calls=");
      if (line.starts_with("cmdstat_fcall:") || line.starts_with("cmdstat_xread:")) {
        sum += std::atof(std::string(line.substr(calls + 6)).c_str());
      }
    }
    return sum;
  };
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const double before = commands();
  std::this_thread::sleep_for(std::chrono::seconds(20));
  return (commands() - before) / 20;
}

// --- Peers

Json RunPeer(const RedisServer& server, const std::string& command) {
  server.Call({"FLUSHALL"});
  const std::string line = "cd " MSEARCH_SOURCE_DIR "/bench && " + command;
  FILE* pipe = popen(line.c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer{};
  while (pipe != nullptr && fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
    out += buffer.data();
  }
  if (pipe == nullptr || pclose(pipe) != 0) return Json::object();
  return ParseJson(Trim(out)).value_or(Json::object());
}

std::string Node(const RedisServer& server, const std::string& rest) {
  return "node node/queue.mjs " + std::to_string(server.port()) + " " + rest;
}
std::string Python(const RedisServer& server, const std::string& rest) {
  return "/usr/bin/python3 python/celery_rq.py " + std::to_string(server.port()) + " " + rest;
}

double Rate(const Json& figures) { return GetDouble(figures, "rate").value_or(0); }

struct Series {
  std::string name;
  std::vector<double> values;
};

void Print(const std::string& title, const Series& ours, const std::vector<Series>& others) {
  std::printf("%-28s msearch %9.0f/s", title.c_str(), Median(ours.values));
  for (const Series& other : others) {
    const double median = Median(other.values);
    if (median <= 0) continue;
    std::printf("   %s %.0f/s (x %.2f)", other.name.c_str(), median, Median(ours.values) / median);
  }
  std::printf("\n");
  std::fflush(stdout);
}

Json MediansOf(const Series& ours, const std::vector<Series>& others) {
  Json json{{"msearch", Median(ours.values)}};
  for (const Series& other : others) json[other.name] = Median(other.values);
  return json;
}

void PrintLatency(const RedisServer& server, bool peers, Json& report) {
  const auto [ours, ping] = MeasureLatency(server, 2000);
  const double trip = RoundTrip(server);
  std::printf(
      "submit to result             msearch p50 %.3f ms p99 %.3f ms = %.1f round trips of "
      "redis-benchmark (%.3f ms), %.1f of pings between (%.3f ms)",
      ours.p50_ms, ours.p99_ms, ours.p50_ms / trip, trip, ours.p50_ms / ping.p50_ms, ping.p50_ms);
  report["latency"] = {{"p50_ms", ours.p50_ms},
                       {"p99_ms", ours.p99_ms},
                       {"trip_ms", trip},
                       {"ping_between_ms", ping.p50_ms}};
  if (peers) {
    const Json bull = RunPeer(server, Node(server, "latency 1000"));
    const Json celery = RunPeer(server, Python(server, "celery latency 500"));
    const Json rq = RunPeer(server, Python(server, "rq latency 300"));
    for (const auto& [name, figures] :
         {std::pair{"BullMQ", bull}, {"Celery", celery}, {"RQ", rq}}) {
      const double p50 = GetDouble(figures, "p50_ms").value_or(0);
      std::printf("   %s %.3f ms (x %.2f)", name, p50, p50 > 0 ? ours.p50_ms / p50 : 0);
      report["latency"][name] = p50;
    }
  }
  std::printf("\n");
}

// Submit to result seen, and nothing else.
int OnlyLatency(bool peers) {
  const RedisServer server;
  Json report = Json::object();
  PrintLatency(server, peers, report);
  std::cout << DumpJson(report) << "\n";
  return 0;
}

int Main(size_t tasks, int rounds, bool peers) {
  const RedisServer server;
  const auto text = [](size_t number) { return std::to_string(number); };
  const size_t fewer = std::max<size_t>(tasks / 10, 2000);  // for the slower ones
  Json report{{"tasks", tasks}, {"rounds", rounds}};

  Series bulk{"msearch", {}};
  std::vector<Series> bulk_others{{"bare script", {}}, {"BullMQ", {}}};
  Series work{"msearch", {}};
  std::vector<Series> work_others{{"bare script", {}}, {"BullMQ", {}}, {"Celery", {}}, {"RQ", {}}};
  for (int i = 0; i < rounds; ++i) {
    bulk.values.push_back(BulkRate(server, tasks));
    bulk_others[0].values.push_back(BareBulkRate(server, tasks));
    work.values.push_back(ProcessRate(server, tasks, kWorkers, 128));
    work_others[0].values.push_back(BareProcessRate(server, tasks, 128));
    if (!peers) continue;
    bulk_others[1].values.push_back(Rate(RunPeer(server, Node(server, "bulk " + text(fewer * 2)))));
    work_others[1].values.push_back(
        Rate(RunPeer(server, Node(server, "process " + text(fewer * 2) + " 50"))));
    double best = 0;
    for (const char* pool : {"solo 1", "prefork 2", "threads 4"}) {
      best = std::max(
          best,
          Rate(RunPeer(server, Python(server, "celery process " + text(fewer) + " " + pool))));
    }
    work_others[2].values.push_back(best);
    work_others[3].values.push_back(
        Rate(RunPeer(server, Python(server, "rq process " + text(fewer / 2)))));
  }
  Print("enqueued in bulk", bulk, bulk_others);
  Print("processed", work, work_others);
  report["bulk"] = MediansOf(bulk, bulk_others);
  report["process"] = MediansOf(work, work_others);

  PrintLatency(server, peers, report);

  const double bytes = BytesPerTask(server, 100000);
  std::printf("bytes a queued task          msearch %.0f", bytes);
  report["bytes"]["msearch"] = bytes;
  if (peers) {
    for (const auto& [name, figures] :
         {std::pair{"BullMQ", RunPeer(server, Node(server, "memory 20000"))},
          {"Celery", RunPeer(server, Python(server, "celery memory 5000"))},
          {"RQ", RunPeer(server, Python(server, "rq memory 5000"))}}) {
      const double theirs = GetDouble(figures, "bytes").value_or(0);
      std::printf("   %s %.0f", name, theirs);
      report["bytes"][name] = theirs;
    }
  }
  const double idle = IdleCommands(server);
  std::printf("\ncommands a second of an idle worker  %.2f\n", idle);
  report["idle_commands"] = idle;
  std::cout << DumpJson(report) << "\n";
  return 0;
}

}  // namespace
}  // namespace msearch::queue

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc >= 6 && std::string_view(argv[1]) == "role") {
    return msearch::queue::Work(std::atoi(argv[3]), argv[4],
                                static_cast<size_t>(std::atoi(argv[5])));
  }
  if (argc >= 2 && std::string_view(argv[1]) == "latency") {
    return msearch::queue::OnlyLatency(argc < 3 || std::string_view(argv[2]) != "nopeers");
  }
  const int tasks = argc > 1 ? std::atoi(argv[1]) : 128000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
  const bool peers = argc < 4 || std::string_view(argv[3]) != "nopeers";
  return msearch::queue::Main(static_cast<size_t>(tasks), rounds, peers);
}
