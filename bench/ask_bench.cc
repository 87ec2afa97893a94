// Questions, end to end, on the real program.
//
//   ask_bench quality QUESTIONS [SET, test] [PACK, open-1k]
//   ask_bench submit [SECONDS, 10] [RATE, 500] [TASKS queued before, 10000]
//   ask_bench workers [UNIT_MS, 200]
//
// quality: in ask_quality.cc.
//
// submit: requests at a steady rate to GET /health and to POST /api/async/complete-answer, in
// turns, while all workers are busy: a language model that takes ten minutes holds each of them.
// With nothing queued before and with TASKS; times are from the moment a request was due, so
// that a server that lags shows it.
//
// workers: ten questions whose language model takes 15 units each, on 1, 3 and 5 task workers.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "ask_client.h"
#include "measure.h"
#include "net/http_client.h"
#include "support/model_server.h"
#include "system/server.h"

namespace msearch::bench {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;
using test::ModelServer;
using test::Server;

void Write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// Sends `count` requests at a steady rate, over connections that stay open, and tells in `times`
// the milliseconds of each, from when it was due.
void AtRate(const net::HttpRequest& request, int rate, int count, std::vector<double>* times) {
  constexpr int kThreads = 32;
  times->resize(static_cast<size_t>(count));
  std::atomic<int> next{0};
  std::atomic<int> failed{0};
  const auto begin = Steady::now() + Milliseconds(50);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = next++; i < count; i = next++) {
          const auto due = begin + std::chrono::microseconds(int64_t{1000000} * i / rate);
          std::this_thread::sleep_until(due);
          const auto answer = net::Fetch(request);
          if (!answer.ok() || answer->status >= 300) ++failed;
          (*times)[static_cast<size_t>(i)] =
              std::chrono::duration<double, std::milli>(Steady::now() - due).count();
        }
      });
    }
  }
  if (failed > 0) std::printf("  %d requests failed\n", failed.load());
}

double At(std::vector<double> times, double share) {
  std::sort(times.begin(), times.end());
  return times[static_cast<size_t>(share * static_cast<double>(times.size() - 1))];
}

// A server whose workers are all busy: a language model holds their answers for ten minutes.
class BusyServer {
 public:
  BusyServer()
      : model_([](const Json&, int) {
          return ModelServer::Reply{.pieces = {"."}, .delay = Milliseconds(600 * 1000)};
        }) {
    setenv("MSEARCH_ANSWER_ENDPOINT", model_.url().c_str(), 1);
    setenv("MSEARCH_ANSWER_CONCURRENCY", "16", 1);
    setenv("MSEARCH_ANSWER_TIMEOUT", "600", 1);
    Write(server_.files() + "/log.md",
          "The Marigold is a fishing boat. She left the harbour of Brixham on 3 May 1911.\n");
    if (!server_.Start()) Die(server_.log());
    server_.AddRoot();
    if (!server_.AwaitIdle()) Die("indexing did not end");
    while (server_.Pids("answer_worker").empty()) {
      std::this_thread::sleep_for(Milliseconds(50));
    }
    const size_t workers = server_.Pids("answer_worker").size();
    for (size_t i = 0; i < workers; ++i) Submit(server_, kQuestion);
    while (model_.calls() < static_cast<int>(workers)) {
      std::this_thread::sleep_for(Milliseconds(50));
    }
    std::printf("%zu workers, all busy\n", workers);
    health_.url = server_.url() + "/health";
    health_.keep_alive = true;
    submit_.method = "POST";
    submit_.url = server_.url() + "/api/async/complete-answer";
    submit_.headers = {"Content-Type: application/json"};
    submit_.body = DumpJson({{"question", kQuestion}});
    submit_.keep_alive = true;
  }

  void Fill(int count) const {
    std::vector<double> unused;
    AtRate(submit_, 5000, count, &unused);
  }
  void Round(int rate, int count) {
    Round(health_, rate, count, &healthy_);
    Round(submit_, rate, count, &submitted_);
  }
  double Print(const char* name) const {
    int64_t queued = 0;
    const Json stats = server_.Get("/api/queue/stats").json;
    for (const Json& queue : stats.value("queues", Json::array())) {
      if (queue["name"] == "answer_generation") queued = queue["queued"].get<int64_t>();
    }
    const double health = Median(healthy_.p99s);
    const double submit = Median(submitted_.p99s);
    std::printf(
        "%-26s GET /health p50 %.2f p99 %.2f ms, submit p50 %.2f p99 %.2f ms: %.2f times"
        " (p99 of all together %.2f, %.2f ms; %lld queued in the end)\n",
        name, At(healthy_.all, 0.5), health, At(submitted_.all, 0.5), submit, submit / health,
        At(healthy_.all, 0.99), At(submitted_.all, 0.99), static_cast<long long>(queued));
    return submit;
  }

 private:
  struct Times {
    std::vector<double> all;   // milliseconds
    std::vector<double> p99s;  // of each round
  };
  static void Round(const net::HttpRequest& request, int rate, int count, Times* times) {
    std::vector<double> own;
    AtRate(request, rate, count, &own);
    times->all.insert(times->all.end(), own.begin(), own.end());
    times->p99s.push_back(At(own, 0.99));
  }

  static constexpr char kQuestion[] = "When did the Marigold leave the harbour?";
  ModelServer model_;
  Server server_{{}, "builtin"};
  net::HttpRequest health_;
  net::HttpRequest submit_;
  Times healthy_;
  Times submitted_;
};

int SubmitRate(int seconds, int rate, int count) {
  BusyServer empty;
  BusyServer full;
  if (count > 0) full.Fill(count);
  // Two servers in turns, a second each, so that what else the machine does meets both alike; and
  // the median of the seconds' p99, so that one bad moment decides nothing.
  for (int i = 0; i < seconds; ++i) {
    empty.Round(rate, rate);
    full.Round(rate, rate);
  }
  const double first = empty.Print("with nothing queued");
  const double later = full.Print("with tasks queued before");
  std::printf("p99 of submitting, with %d tasks queued before by with none: %.2f\n", count,
              later / first);
  return 0;
}

int Workers(int unit_ms) {
  constexpr int kQuestions = 10;
  constexpr int kUnits = 15;
  for (const int workers : {1, 3, 5}) {
    ModelServer model([&](const Json&, int) {
      return ModelServer::Reply{.pieces = {"She left the harbour of Brixham on 3 May 1911 [1]."},
                                .delay = Milliseconds(kUnits * unit_ms)};
    });
    setenv("MSEARCH_ANSWER_ENDPOINT", model.url().c_str(), 1);
    setenv("MSEARCH_ANSWER_CONCURRENCY", "16", 1);
    setenv("MSEARCH_PROCESSES_TASK_WORKER_NUM_INSTANCES", std::to_string(workers).c_str(), 1);
    Server server({}, "builtin");
    Write(server.files() + "/log.md",
          "The Marigold is a fishing boat. She left the harbour of Brixham on 3 May 1911.\n");
    if (!server.Start()) Die(server.log());
    server.AddRoot();
    if (!server.AwaitIdle()) Die("indexing did not end");
    while (server.Pids("answer_worker").size() < static_cast<size_t>(workers)) {
      std::this_thread::sleep_for(Milliseconds(50));
    }
    const Stopwatch watch;
    std::vector<std::string> ids;
    for (int i = 0; i < kQuestions; ++i) {
      ids.push_back(Submit(server, "When did the Marigold leave the harbour?"));
    }
    for (const std::string& id : ids) {
      if (Ended(server, id)["result"]["mode"] != "generated") Die("not a generated answer");
    }
    const double units = watch.seconds() * 1000 / unit_ms;
    const int ideal = (kQuestions + workers - 1) / workers * kUnits;
    std::printf("%d workers: %.1f units, ideal %d (%+.1f %%)\n", workers, units, ideal,
                100 * (units / ideal - 1));
  }
  return 0;
}

}  // namespace
}  // namespace msearch::bench

int main(int argc, char** argv) {
  using namespace msearch::bench;
  auto number = [&](int index, int fallback) {
    return argc > index ? std::atoi(argv[index]) : fallback;
  };
  const std::string part = argc > 1 ? argv[1] : "";
  if (part == "quality" && argc > 2) {
    return Quality(argv[2], argc > 3 ? argv[3] : "test", argc > 4 ? argv[4] : "open-1k");
  }
  if (part == "submit") return SubmitRate(number(2, 10), number(3, 500), number(4, 10000));
  if (part == "workers") return Workers(number(2, 200));
  std::fprintf(stderr,
               "ask_bench quality QUESTIONS [SET, test] [PACK, open-1k] | "
               "submit [SECONDS] [RATE] [TASKS] | "
               "workers [UNIT_MS]\n");
  return 2;
}
