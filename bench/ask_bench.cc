// Questions, end to end, on the real program.
//
//   ask_bench quality QUESTIONS [SET, test] [PACK, open-1k]
//   ask_bench submit [SECONDS, 10] [RATE, 500]
//   ask_bench workers [UNIT_MS, 200]
//
// quality: writes the library that QUESTIONS (bench/ask/questions.json) describes (documents;
// speech by espeak-ng; pictures from the Tux Paint stamps), has it indexed, asks every question,
// and counts: answerable ones whose source is among the first three citations, those whose key
// words stand in the answer, and unanswerable ones that are refused. Speech counts only where a
// reader of speech is installed; else its questions are left out, and it says so.
//
// submit: requests at a steady rate to GET /health and to POST /api/async/complete-answer, in
// turns, while no worker takes anything (their queue is paused), with nothing queued before and
// with 10,000 tasks; times are from the moment a request was due, so that a server that lags shows
// it.
//
// workers: ten questions whose language model takes 15 units each, on 1, 3 and 5 task workers.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
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

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "ask_bench: %s\n", why.c_str());
  std::exit(1);
}

void Write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

Json Ended(const Server& server, const std::string& id) {
  while (true) {
    const auto answer = server.Get("/api/async/task/" + id + "?wait=30");
    const std::string status = GetString(answer.json, "status").value_or("");
    if (answer.status != 200) Die(answer.body);
    if (status != "queued" && status != "started") return answer.json;
  }
}

std::string Submit(const Server& server, const std::string& question) {
  const auto answer = server.Post("/api/async/complete-answer", {{"question", question}});
  if (answer.status != 202) Die(answer.body);
  return GetString(answer.json, "task_id").value_or("");
}

// Text as it is compared: without case, spaces and signs.
std::string Plain(const std::string& text) {
  std::string out;
  for (const char c : FoldCase(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte)) out += c;
  }
  return out;
}

bool ReadsSpeech(const Server& server) {
  for (const Json& media : server.Get("/api/media?type=audio").json.value("media", Json::array())) {
    const auto one = server.Get("/api/media/" + std::to_string(media["media_id"].get<int64_t>()));
    if (!GetString(one.json, "text").value_or("").empty()) return true;
  }
  return false;
}

int Quality(const std::string& file, const std::string& set, const std::string& pack) {
  const auto text = ReadFile(file);
  const auto json = text.ok() ? ParseJson(*text) : Result<Json>(text.error());
  if (!json.ok()) Die(json.message());
  Server server({}, pack);
  for (const auto& [path, content] : (*json)["files"].items()) {
    Write(server.files() + "/" + path, content.get<std::string>());
  }
  for (const auto& [path, stamp] : (*json)["pictures"].items()) {
    const std::string from = "/usr/share/tuxpaint/stamps/" + stamp.get<std::string>();
    fs::create_directories(fs::path(server.files() + "/" + path).parent_path());
    std::error_code error;
    fs::copy_file(from, server.files() + "/" + path, error);
    if (error) std::printf("left out: %s: %s\n", from.c_str(), error.message().c_str());
  }
  for (const auto& [path, spoken] : (*json)["speech"].items()) {
    const std::string to = server.files() + "/" + path;
    fs::create_directories(fs::path(to).parent_path());
    const std::string command = "espeak-ng -s 145 -v " + spoken[0].get<std::string>() + " -w '" +
                                to + "' '" + spoken[1].get<std::string>() + "'";
    if (std::system(command.c_str()) != 0) std::printf("left out: %s\n", path.c_str());
  }
  if (!server.Start()) Die(server.log());
  server.AddRoot();
  if (!server.AwaitIdle()) Die("indexing did not end");
  const bool speech = ReadsSpeech(server);
  if (!speech) std::printf("speech isn't read here: its questions are left out\n");
  int answerable = 0, cited = 0, worded = 0, refusable = 0, refused = 0;
  std::vector<double> times;
  for (const Json& one : (*json)[set]) {
    const std::string question = one["question"];
    const std::string source = GetString(one, "source").value_or("");
    if (!speech && source.ends_with(".wav")) continue;
    const Stopwatch watch;
    const Json result = Ended(server, Submit(server, question))["result"];
    times.push_back(watch.seconds());
    const bool found = GetBool(result, "found").value_or(false);
    const std::string answer = GetString(result, "answer").value_or("");
    std::string verdict;
    if (source.empty()) {
      ++refusable;
      refused += found ? 0 : 1;
      if (found) verdict = "answered, but can't be";
    } else {
      ++answerable;
      bool right = false;
      const Json citations = result.value("citations", Json::array());
      for (size_t i = 0; i < citations.size() && i < 3; ++i) {
        right |= GetString(citations[i], "path") == source;
      }
      bool words = found;
      for (const Json& word : one["words"]) {
        words &= Plain(answer).find(Plain(word.get<std::string>())) != std::string::npos;
      }
      cited += right ? 1 : 0;
      worded += words ? 1 : 0;
      if (!found)
        verdict = "refused";
      else if (!right)
        verdict = "wrong source";
      else if (!words)
        verdict = "without the key words";
    }
    if (verdict.empty()) continue;
    std::printf("%-24s %.2f  %s\n    %s\n", verdict.c_str(),
                GetDouble(result, "confidence").value_or(0), question.c_str(), answer.c_str());
  }
  auto share = [](int part, int all) { return all > 0 ? 100.0 * part / all : 0.0; };
  std::printf("right source among the first 3 citations  %d of %d  %.0f %%\n", cited, answerable,
              share(cited, answerable));
  std::printf("key words in the answer                   %d of %d  %.0f %%\n", worded, answerable,
              share(worded, answerable));
  std::printf("unanswerable refused                      %d of %d  %.0f %%\n", refused, refusable,
              share(refused, refusable));
  std::printf("time from question to answer, median      %.0f ms\n", Median(times) * 1000);
  return 0;
}

// Milliseconds of each request, from when it was due.
std::vector<double> AtRate(const std::function<net::HttpRequest()>& make, int rate, int seconds) {
  constexpr int kThreads = 32;
  const int count = rate * seconds;
  std::vector<double> times(static_cast<size_t>(count));
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
          net::HttpRequest request = make();
          request.keep_alive = true;
          const auto answer = net::Fetch(request);
          if (!answer.ok() || answer->status >= 300) ++failed;
          times[static_cast<size_t>(i)] =
              std::chrono::duration<double, std::milli>(Steady::now() - due).count();
        }
      });
    }
  }
  if (failed > 0) std::printf("  %d requests failed\n", failed.load());
  std::sort(times.begin(), times.end());
  return times;
}

double At(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

int SubmitRate(int seconds, int rate) {
  Server server({}, "builtin");
  if (!server.Start()) Die(server.log());
  server.Post("/api/queue/answer_generation/pause");
  net::HttpRequest health;
  health.url = server.url() + "/health";
  net::HttpRequest submit;
  submit.method = "POST";
  submit.url = server.url() + "/api/async/complete-answer";
  submit.headers = {"Content-Type: application/json"};
  submit.body = R"({"question": "When did the Marigold leave the harbour?"})";
  auto run = [&](const char* name) {
    const auto healthy = AtRate([&] { return health; }, rate, seconds);
    const auto submitted = AtRate([&] { return submit; }, rate, seconds);
    std::printf("%-28s GET /health p50 %.2f p99 %.2f ms, submit p50 %.2f p99 %.2f ms: %.2f times\n",
                name, At(healthy, 0.5), At(healthy, 0.99), At(submitted, 0.5), At(submitted, 0.99),
                At(submitted, 0.99) / At(healthy, 0.99));
    return At(submitted, 0.99);
  };
  auto queued = [&] {
    for (const Json& queue : server.Get("/api/queue/stats").json["queues"]) {
      if (queue["name"] == "answer_generation") return queue["queued"].get<int64_t>();
    }
    return int64_t{0};
  };
  const double first = run("at first");
  while (queued() < 10000) Submit(server, "When did the Marigold leave the harbour?");
  std::printf("%lld tasks queued\n", static_cast<long long>(queued()));
  const double later = run("with 10,000 tasks queued");
  std::printf("p99 of submitting, later by first: %.2f\n", later / first);
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
  if (part == "submit") return SubmitRate(number(2, 10), number(3, 500));
  if (part == "workers") return Workers(number(2, 200));
  std::fprintf(stderr,
               "ask_bench quality QUESTIONS [SET] [PACK] | submit [SECONDS] [RATE] | "
               "workers [UNIT_MS]\n");
  return 2;
}
