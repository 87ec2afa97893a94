// Controller and compute servers apart, and what happens when Redis or a worker dies: the real
// program, a real redis-server, and where it is allowed machines made of namespaces.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "net/http_client.h"
#include "support/pdf.h"
#include "support/pictures.h"
#include "support/redis_server.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void Write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// Different small pictures, numbered from `first` on.
void WritePictures(const std::string& folder, int first, int count, uint32_t side = 64) {
  for (int i = first; i < first + count; ++i) {
    const auto raster = Flat(side + static_cast<uint32_t>(i % 97), side,
                             {static_cast<uint8_t>(i % 256), static_cast<uint8_t>(i / 256), 200});
    Write(folder + "/picture-" + std::to_string(i) + ".png", Encoded(raster, "png"));
  }
}

int64_t Count(const Server& server, const char* what) {
  return GetInt(server.Get("/api/index/status").json, what).value_or(-1);
}

// Files of removed blobs, which the next ones are written into, don't count.
int BlobsLeft(const Server& server) {
  int left = 0;
  for (const auto& entry : fs::directory_iterator(server.data() + "/blobs")) {
    left += entry.path().filename().native().starts_with("spare-") ? 0 : 1;
  }
  return left;
}

int64_t MediaTotal(const Server& server) {
  return GetInt(server.Get("/api/media?limit=1").json, "total").value_or(-1);
}

// A figure of /metrics; -1 when it isn't there.
double Metric(const Server& server, const std::string& name) {
  const std::string text = server.Get("/metrics").body;
  for (std::string_view line : Split(text, '\n')) {
    if (!line.starts_with(name + " ")) continue;
    return std::stod(std::string(line.substr(name.size() + 1)));
  }
  return -1;
}

std::string Problem(const Server& server) {
  return GetString(server.Get("/api/index/status").json, "problem").value_or("");
}

std::string ConfigFile(const TemporaryDirectory& directory, const std::string& redis_host,
                       int redis_port) {
  const std::string path = directory.path() + "/config.yml";
  Write(path, fmt::format("redis:\n  host: {}\n  port: {}\n  fallback_after_ms: 700\n"
                          "queue:\n  lease_seconds: 3\n",
                          redis_host, redis_port));
  return path;
}

// Second looks are no part of what some tests are about, and take long on a busy machine.
std::string WithoutReading(const std::string& config) {
  Write(config,
        ReadFile(config).value_or("") + "reading:\n  speech: off\n  text: off\n  sounds: off\n");
  return config;
}

// Sums up over the workers of a role what they say they have done.
int64_t DoneBy(const Server& server, const std::string& role) {
  int64_t done = 0;
  for (const Json& worker : server.Get("/api/workers").json.value("workers", Json::array())) {
    if (GetString(worker, "role") == role) done += GetInt(worker, "tasks_done").value_or(0);
  }
  return done;
}

// --- a second machine ----------------------------------------------------------------------

// A network namespace with an address of its own, joined to ours by a cable.
class Machine {
 public:
  explicit Machine(int number = 0) {
    const std::string id = std::to_string(getpid() % 10000);
    name_ = "ms" + id + std::string(1, static_cast<char>('a' + number));
    const std::string net =
        "10." + std::to_string(77 + number) + "." + std::to_string(getpid() % 250);
    here_ = net + ".1";
    there_ = net + ".2";
    auto run = [](const std::string& command) {
      return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
    };
    ok_ = geteuid() == 0 && run("ip netns add " + name_) &&
          run("ip link add " + name_ + "a type veth peer name " + name_ + "b") &&
          run("ip link set " + name_ + "b netns " + name_) &&
          run("ip addr add " + here_ + "/24 dev " + name_ + "a") &&
          run("ip link set " + name_ + "a up") &&
          run("ip netns exec " + name_ + " ip addr add " + there_ + "/24 dev " + name_ + "b") &&
          run("ip netns exec " + name_ + " ip link set " + name_ + "b up") &&
          run("ip netns exec " + name_ + " ip route add default via " + here_) &&
          run("ip netns exec " + name_ + " unshare -m true");
  }
  ~Machine() {
    (void)!std::system(("ip link del " + name_ + "a >/dev/null 2>&1").c_str());
    (void)!std::system(("ip netns del " + name_ + " >/dev/null 2>&1").c_str());
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  bool ok() const { return ok_; }
  const std::string& name() const { return name_; }
  const std::string& here() const { return here_; }

 private:
  std::string name_;
  std::string here_;
  std::string there_;
  bool ok_ = false;
};

TEST(Machines, ThatShareNoPathWorkTogether) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const Machine machine;
  if (!machine.ok()) GTEST_SKIP() << "no network namespaces here (root and iproute2 are needed)";
  const RedisServer redis({"--bind", machine.here(), "127.0.0.1", "--protected-mode", "no"});
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, machine.here(), redis.port());
  Server server({"--config", config, "--host", machine.here(), "--token", "secret"}, "builtin",
                "controller");
  WritePictures(server.files(), 0, 12);
  Write(server.files() + "/notes/pond.txt", "a frog sings in the pond");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();

  const std::string data = folder.path() + "/compute";
  const std::string hidden = fs::path(server.files()).parent_path().string();
  const Background compute({"ip",           "netns",    "exec",
                            machine.name(), "unshare",  "-m",
                            "sh",           "-c",       "mount -t tmpfs none \"$0\" && exec \"$@\"",
                            hidden,         "msearch",  "run",
                            "compute",      "--config", config,
                            "--data",       data,       "--controller",
                            server.url(),   "--token",  "secret",
                            "--workers",    "1"});
  ASSERT_TRUE(server.AwaitIdle()) << server.log() << compute.log();
  EXPECT_EQ(Count(server, "indexed"), 13) << compute.log();
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_THAT(server.Find("frog"), testing::ElementsAre("notes/pond.txt"));

  // It was another machine: it has none of the files, and no catalog.
  const auto workers = server.Pids("task_worker");
  ASSERT_EQ(workers.size(), 1U);
  const std::string root = "/proc/" + std::to_string(workers[0]) + "/root";
  EXPECT_TRUE(fs::is_empty(root + hidden));
  EXPECT_NE(fs::read_symlink("/proc/" + std::to_string(workers[0]) + "/ns/net"),
            fs::read_symlink("/proc/self/ns/net"));
  EXPECT_FALSE(fs::exists(root + data + "/catalog.db"));

  // What one asks for by path or by upload is worked on there, too.
  const auto features = server.Post("/api/compute/feature_extraction",
                                    {{"image_path", server.files() + "/picture-3.png"}});
  ASSERT_EQ(features.status, 200) << features.body;
  EXPECT_EQ(GetInt(features.json, "dimensions"),
            static_cast<int64_t>(features.json["features"].size()));
}

// Words that run a compute server with one worker of each kind on that machine.
std::vector<std::string> ComputeOn(const Machine& machine, const std::string& config,
                                   const std::string& data, const Server& server) {
  return {"ip",         "netns",    "exec",   machine.name(), "msearch", "run",
          "compute",    "--config", config,   "--data",       data,      "--controller",
          server.url(), "--token",  "secret", "--workers",    "1"};
}

TEST(Machines, ShareTheWorkAndOneTakesOverWhenTheOtherDies) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const Machine first(0);
  const Machine second(1);
  if (!first.ok() || !second.ok()) {
    GTEST_SKIP() << "no network namespaces here (root and iproute2 are needed)";
  }
  constexpr int kPictures = 150;
  const RedisServer redis({"--bind", first.here(), "127.0.0.1", "--protected-mode", "no"});
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, first.here(), redis.port());
  Server server({"--config", config, "--host", first.here(), "--token", "secret"}, "builtin",
                "controller");
  WritePictures(server.files(), 0, kPictures, 1000);
  ASSERT_TRUE(server.Start()) << server.log();
  const Background one(ComputeOn(first, config, folder.path() + "/one", server));
  auto other =
      std::make_unique<Background>(ComputeOn(second, config, folder.path() + "/other", server));
  ASSERT_TRUE(Eventually([&] { return server.Pids("embedding_worker").size() == 2; }))
      << one.log() << other->log();
  server.AddRoot();
  // Both work, though nobody said who does what.
  const auto done = [&] {
    std::vector<int64_t> all;
    for (const Json& worker : server.Get("/api/workers").json.value("workers", Json::array())) {
      if (GetString(worker, "role") != "task_worker") continue;
      const bool busy = worker.contains("current");
      all.push_back(GetInt(worker, "tasks_done").value_or(0) + (busy ? 1 : 0));
    }
    return all;
  };
  EXPECT_TRUE(Eventually([&] {
    const auto all = done();
    return all.size() == 2 && all[0] > 0 && all[1] > 0;
  })) << server.Get("/api/workers").body;
  ASSERT_LT(Count(server, "indexed"), kPictures) << "it was over before one died";
  other.reset();  // SIGKILL, and its roles with it
  ASSERT_TRUE(server.AwaitIdle()) << server.log() << one.log();
  EXPECT_EQ(Count(server, "indexed"), kPictures);
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_EQ(Metric(server, "msearch_commits_total{new=\"content\"}"), kPictures)
      << "each took effect once";
}

TEST(ComputeServer, HandsBytesOnThroughRedisWhereTheControllerSaysSo) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  Write(config, ReadFile(config).value_or("") + "blobs:\n  in_redis: true\n");
  Server server({"--config", config}, "builtin", "controller");
  WritePictures(server.files(), 0, 8);
  ASSERT_TRUE(server.Start()) << server.log();
  // Its own file doesn't say so: it follows the controller.
  const TemporaryDirectory other;
  const Background compute(
      {"msearch", "run", "compute", "--config", ConfigFile(other, "127.0.0.1", redis.port()),
       "--data", folder.path() + "/compute", "--controller", server.url(), "--workers", "1"});
  server.AddRoot();
  server.Post("/api/queue/commit/pause");
  // What is to be committed waits in Redis, and nowhere else.
  EXPECT_TRUE(Eventually([&] {
    return redis.Call({"ZCARD", "blobs:index"}) != "0";
  })) << compute.log();
  EXPECT_EQ(BlobsLeft(server), 0);
  server.Post("/api/queue/commit/resume");
  ASSERT_TRUE(server.AwaitIdle()) << server.log() << compute.log();
  EXPECT_EQ(Count(server, "indexed"), 8);
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_TRUE(Eventually([&] { return redis.Call({"GET", "blobs:bytes"}) == "0"; }));
}

TEST(ComputeServer, TakesItsModelFromTheController) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const char* models = getenv("MSEARCH_TEST_MODELS");
  if (models == nullptr || !fs::exists(std::string(models) + "/open-1k/state.json")) {
    GTEST_SKIP() << "no pulled pack open-1k in MSEARCH_TEST_MODELS";
  }
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  Server server({"--config", config, "--token", "secret"}, "open-1k", "controller");
  fs::create_directories(server.data() + "/models");
  fs::create_directory_symlink(std::string(models) + "/open-1k", server.data() + "/models/open-1k");
  WritePictures(server.files(), 0, 4);
  ASSERT_TRUE(server.Start()) << server.log();
  const std::string data = folder.path() + "/compute";
  const Background compute({"env", "MSEARCH_MODEL_DIRECTORY=" + data + "/models", "msearch", "run",
                            "compute", "--config", config, "--data", data, "--controller",
                            server.url(), "--token", "secret", "--workers", "1"});
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle()) << server.log() << compute.log();
  EXPECT_EQ(Count(server, "indexed"), 4) << compute.log();
  EXPECT_TRUE(fs::exists(data + "/models/open-1k/state.json"));
  EXPECT_THAT(compute.log(), HasSubstr("taken over from the controller"));
}

TEST(ComputeServer, WithAWrongTokenGetsNothingAndSaysWhy) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  Server server({"--config", config, "--token", "secret"}, "builtin", "controller");
  ASSERT_TRUE(server.Start()) << server.log();
  const auto compute =
      RunMsearch({"run", "compute", "--config", config, "--data", folder.path() + "/compute",
                  "--controller", server.url(), "--token", "wrong", "--workers", "1"});
  EXPECT_EQ(compute.status, 1);
  EXPECT_EQ(compute.out, "");
  EXPECT_THAT(compute.err, HasSubstr("access token missing or wrong"));
  EXPECT_TRUE(server.Pids("task_worker").empty());
  for (const char* path :
       {"/api/compute/files/1?version=1", "/api/compute/blobs", "/api/compute/hello"}) {
    net::HttpRequest request;
    request.url = server.url() + path;
    const auto answer = net::Fetch(request);
    ASSERT_TRUE(answer.ok()) << answer.message();
    EXPECT_EQ(answer->status, 401) << path;
  }
}

// --- what only some can do -------------------------------------------------------------------

// A server's configuration with formats of its own.
std::string ConfigWithFormats(const TemporaryDirectory& directory, const RedisServer& redis,
                              const std::string& formats) {
  const std::string path = ConfigFile(directory, "127.0.0.1", redis.port());
  Write(path, ReadFile(path).value_or("") + "processes:\n  task_worker:\n    formats: [" + formats +
                  "]\n");
  return path;
}

TEST(Capabilities, AFileWaitsForAWorkerThatOpensItsFormatAndSaysSo) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const TemporaryDirectory unable_folder;
  Server server({"--config", ConfigFile(folder, "127.0.0.1", redis.port())}, "builtin",
                "controller");
  WritePictures(server.files(), 0, 6);
  for (int i = 0; i < 5; ++i) {
    Write(server.files() + "/report-" + std::to_string(i) + ".pdf",
          MakePdf({{.text = "a frog sings in pond " + std::to_string(i)}}));
  }
  // Its name promises something that everybody opens.
  Write(server.files() + "/really.txt", MakePdf({{.text = "a toad sings under a false name"}}));
  ASSERT_TRUE(server.Start()) << server.log();
  const auto compute = [&](const std::string& config, const std::string& data) {
    return std::make_unique<Background>(std::vector<std::string>{
        "msearch", "run", "compute", "--config", config, "--data", folder.path() + "/" + data,
        "--controller", server.url(), "--workers", "1"});
  };
  const auto unable = compute(ConfigWithFormats(unable_folder, redis, "picture"), "unable");
  ASSERT_TRUE(Eventually([&] { return server.Pids("task_worker").size() == 1; })) << unable->log();
  server.AddRoot();
  ASSERT_TRUE(Eventually([&] { return Count(server, "indexed") == 6; }))
      << server.Get("/api/index/status").body << unable->log();

  // Nobody opens the others: they wait, and everything that asks is told why.
  const std::string reason = "no worker opens PDF documents: install poppler-utils";
  std::string id;
  ASSERT_TRUE(Eventually([&] {
    const Json waiting = server.Get("/api/tasks?queue=tasks-pdf&status=queued").json;
    if (waiting.value("tasks", Json::array()).size() < 6) return false;
    id = GetString(waiting["tasks"][0], "task_id").value_or("");
    return true;
  })) << server.Get("/api/tasks").body;
  EXPECT_THAT(GetString(server.Get("/api/tasks/" + id).json, "why").value_or(""),
              HasSubstr(reason));
  EXPECT_EQ(GetInt(server.Get("/api/tasks/" + id).json, "attempts"), 0);
  EXPECT_THAT(Problem(server), testing::AllOf(HasSubstr("6 tasks wait"), HasSubstr(reason)));
  const auto shown = RunMsearch({"task", "show", id, "--server", server.url()});
  EXPECT_THAT(shown.out, HasSubstr(reason));
  EXPECT_THAT(server.Get("/api/doctor").body, HasSubstr(reason));
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_EQ(Count(server, "pending"), 6);

  // One that opens everything does what the other can't.
  const auto able = compute(ConfigFile(folder, "127.0.0.1", redis.port()), "able");
  ASSERT_TRUE(server.AwaitIdle()) << server.Get("/api/index/status").body << able->log();
  EXPECT_EQ(Count(server, "indexed"), 12) << able->log();
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_EQ(Problem(server), "");
  EXPECT_THAT(server.Find("toad"), testing::ElementsAre("really.txt"));
  EXPECT_EQ(server.Find("frog").size(), 5U);

  // The controller sees who opens what, so that nothing new takes the way round.
  Write(server.files() + "/late.pdf", MakePdf({{.text = "a newt comes late"}}));
  ASSERT_TRUE(Eventually([&] { return Count(server, "indexed") == 13; })) << able->log();
  const Json all = server.Get("/api/tasks?queue=tasks&text=late.pdf").json;
  EXPECT_TRUE(all.value("tasks", Json::array()).empty()) << all;
}

TEST(Capabilities, APictureIsAnalysedByAWorkerThatOpensIt) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const TemporaryDirectory unable_folder;
  Server server({"--config", ConfigFile(folder, "127.0.0.1", redis.port())}, "builtin",
                "controller");
  ASSERT_TRUE(server.Start()) << server.log();
  const auto compute = [&](const std::string& config, const std::string& data) {
    return std::make_unique<Background>(std::vector<std::string>{
        "msearch", "run", "compute", "--config", config, "--data", folder.path() + "/" + data,
        "--controller", server.url(), "--workers", "1"});
  };
  const auto unable = compute(ConfigWithFormats(unable_folder, redis, "heif"), "unable");
  ASSERT_TRUE(Eventually([&] { return server.Pids("analysis_worker").size() == 1; }))
      << unable->log();
  const auto ask = [&](const std::string& name, const std::string& bytes) {
    const auto answer = server.Post("/api/async/analyze-image",
                                    {{"image", {{"base64", Base64Encode(bytes)}, {"name", name}}}});
    EXPECT_EQ(answer.status, 202) << answer.body;
    return GetString(answer.json, "task_id").value_or("");
  };
  const auto status = [&](const std::string& id) {
    return GetString(server.Get("/api/async/task/" + id).json, "status").value_or("");
  };
  const auto raster = Flat(80, 60, {10, 100, 200});
  // Told by its bytes, whatever it's called.
  const std::string png = ask("frog.jpg", Encoded(raster, "png"));
  const std::string jpeg = ask("toad.jpg", Encoded(raster, "jpg"));
  EXPECT_TRUE(Eventually([&] { return status(jpeg) == "finished"; })) << unable->log();
  EXPECT_EQ(status(png), "queued");
  const Json task = server.Get("/api/tasks/" + png).json;
  EXPECT_EQ(GetString(task, "queue"), "image_analysis-picture");
  EXPECT_EQ(GetInt(task, "attempts"), 0);
  EXPECT_THAT(GetString(task, "why").value_or(""), HasSubstr("opens PNG, WebP, GIF and TIFF"));
  EXPECT_THAT(server.Get("/api/doctor").body, HasSubstr("image_analysis-picture"));

  const auto able = compute(ConfigFile(folder, "127.0.0.1", redis.port()), "able");
  EXPECT_TRUE(Eventually([&] { return status(png) == "finished"; })) << able->log();
}

TEST(Capabilities, ADeviceThatNoWorkerHasIsWaitedForAndNamed) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  Write(config, ReadFile(config).value_or("") + "model:\n  device: cuda\n");
  Server server({"--config", config, "--workers", "1", "--device", "cpu"});
  WritePictures(server.files(), 0, 2);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  EXPECT_TRUE(Eventually([&] {
    return Problem(server).find("no worker embeds on the device cuda") != std::string::npos;
  })) << Problem(server);
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_EQ(Count(server, "pending"), 2);
}

TEST(Builds, ThatAreNotDistributedStayWithTheControllersOwnWorkers) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  constexpr int kPictures = 60;
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  Server server({"--config", config, "--workers", "1"}, "builtin", "controller");
  fs::create_directories(server.files());
  ASSERT_TRUE(server.Start()) << server.log();
  const Background compute({"msearch", "run", "compute", "--config", config, "--data",
                            folder.path() + "/compute", "--controller", server.url(), "--workers",
                            "1"});
  ASSERT_TRUE(Eventually([&] {
    return server.Pids("task_worker").size() == 1 && server.Pids("embedding_worker").size() == 1;
  })) << compute.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle()) << server.log();
  const pid_t elsewhere = server.Pids("task_worker").at(0);
  // What is found before the build begins is no work of it.
  server.Post("/api/queue/changes/pause");
  WritePictures(server.files(), 0, kPictures);
  // A controller without workers of its own starts some for it.
  const auto build =
      server.Post("/api/build_index", {{"dataset_names", {"files"}}, {"distributed", false}}).json;
  server.Post("/api/queue/changes/resume");
  EXPECT_EQ(GetBool(build, "distributed"), false) << build;
  EXPECT_THAT(GetString(build, "not_distributed_because").value_or(""),
              HasSubstr("it was asked for"));
  const std::string id = GetString(build, "build_id").value_or("");
  ASSERT_TRUE(Eventually(
      [&] { return GetString(server.Get("/api/build_index/" + id).json, "state") == "finished"; },
      120))
      << server.Get("/api/build_index/" + id).body << server.log();
  EXPECT_EQ(Count(server, "indexed"), kPictures);
  const Json own = server.Get("/api/tasks?queue=tasks-controller&status=finished").json;
  EXPECT_EQ(GetInt(own, "total"), kPictures) << own;
  EXPECT_EQ(GetInt(server.Get("/api/tasks?queue=embed-controller&status=finished").json, "total"),
            kPictures);
  // Not one of them was worked on elsewhere.
  for (const Json& task : own.value("tasks", Json::array())) {
    EXPECT_EQ(GetString(task, "worker").value_or("").find(":" + std::to_string(elsewhere) + ":"),
              std::string::npos)
        << task;
  }
  EXPECT_TRUE(Eventually([&] { return server.Pids("task_worker").size() == 1; }))
      << "the stand-ins are gone";
}

TEST(ComputeServer, EndsWithTheReasonWhenOnlyPeopleCanChangeIt) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  Server server({"--config", config}, "builtin", "controller");
  ASSERT_TRUE(server.Start()) << server.log();
  const auto run = [&](const std::string& with, const std::string& controller) {
    std::vector<std::string> words = {
        "run", "compute", "--config", with, "--data", folder.path() + "/compute", "--workers", "1"};
    if (!controller.empty()) words.insert(words.end(), {"--controller", controller});
    const auto result = RunMsearch(words);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_EQ(result.out, "");  // least of all that it is ready
    return result.err;
  };
  EXPECT_THAT(run(config, server.url() + "/foo"),
              testing::AllOf(HasSubstr(server.url() + "/foo"), HasSubstr("compute.controller"),
                             HasSubstr("does not answer like an msearch controller")));
  EXPECT_THAT(run(config, ""), HasSubstr("set compute.controller"));
  redis.Call({"CONFIG", "SET", "maxmemory", "100mb"});
  redis.Call({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
  EXPECT_THAT(run(config, server.url()), HasSubstr("maxmemory-policy is allkeys-lru"));
  redis.Call({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
  redis.Call({"CONFIG", "SET", "requirepass", "frog"});
  EXPECT_THAT(run(config, server.url()), HasSubstr("redis.password"));
}

TEST(ComputeServer, IsReadyWhenItsControllerHasAnsweredAndSaysBeforeThatItWaits) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  const std::string port = std::to_string(FreePort());
  const Background compute({"msearch", "run", "compute", "--config", config, "--data",
                            folder.path() + "/compute", "--controller", "http://127.0.0.1:" + port,
                            "--workers", "1"});
  ASSERT_TRUE(Eventually([&] {
    return compute.log().find("waiting: controller http://127.0.0.1:" + port) != std::string::npos;
  })) << compute.log();
  EXPECT_THAT(compute.log(), testing::Not(HasSubstr("ready compute")));
  Server server({"--config", config, "--port", port}, "builtin", "controller");
  ASSERT_TRUE(server.Start()) << server.log();
  EXPECT_TRUE(Eventually([&] {
    return compute.log().find("ready compute\n") != std::string::npos;
  })) << compute.log();
}

TEST(ComputeServer, ThatIsMissingIsSaidWhereFilesWaitForIt) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  Server server({"--config", ConfigFile(folder, "127.0.0.1", redis.port())}, "builtin",
                "controller");
  WritePictures(server.files(), 0, 3);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  const char* why = "no worker serves queue tasks: start msearch run compute";
  EXPECT_TRUE(Eventually([&] { return Problem(server).find(why) != std::string::npos; }))
      << server.Get("/api/index/status").body;
  const Json status = server.Get("/api/index/status").json;
  EXPECT_FALSE(status.contains("eta_s")) << status;
  EXPECT_THAT(GetString(status["roots"][0], "problem").value_or(""), HasSubstr(why));
  EXPECT_THAT(server.Get("/api/doctor").body, HasSubstr("start msearch run compute"));
}

TEST(RedisConfiguration, ThatIsChangedWhileItRunsIsNoticed) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  Server server({"--config", ConfigFile(folder, "127.0.0.1", redis.port()), "--workers", "1"});
  ASSERT_TRUE(server.Start()) << server.log();
  redis.Call({"CONFIG", "SET", "maxmemory", "100mb"});
  redis.Call({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
  const char* why = "maxmemory-policy is allkeys-lru";
  EXPECT_TRUE(Eventually([&] { return Problem(server).find(why) != std::string::npos; }));
  EXPECT_THAT(server.Get("/health").body, HasSubstr(why));
  EXPECT_THAT(server.Get("/api/doctor").body, HasSubstr(why));
  EXPECT_THAT(server.log(), HasSubstr(why));
  redis.Call({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
  EXPECT_TRUE(Eventually([&] { return Problem(server).empty(); })) << Problem(server);
}

TEST(PausedQueue, StaysPausedWhenTheQueueLosesItsStateOrItsPlace) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  RedisServer redis;
  const TemporaryDirectory folder;
  Server server({"--config", ConfigFile(folder, "127.0.0.1", redis.port()), "--workers", "1"},
                "builtin", "both");
  WritePictures(server.files(), 0, 5);
  ASSERT_TRUE(server.Start()) << server.log();
  const auto paused = [&] {
    for (const Json& queue : server.Get("/api/queue/stats").json.value("queues", Json::array())) {
      if (GetString(queue, "name") == "tasks") return GetBool(queue, "paused").value_or(false);
    }
    return false;
  };
  const auto paused_there = [&] {
    return redis.Call({"HGET", "queue:meta", "paused:tasks"}) == "1" &&
           redis.Call({"HGET", "queue:meta", "paused:tasks-pdf"}) == "1";
  };
  server.Post("/api/queue/tasks/pause");
  EXPECT_THAT(server.Get("/api/doctor").body,
              testing::AllOf(HasSubstr("msearch task resume tasks\""),
                             testing::Not(HasSubstr("resume tasks-"))));
  EXPECT_TRUE(paused_there());
  redis.Call({"FLUSHALL"});
  EXPECT_TRUE(Eventually(paused_there)) << server.log();
  server.AddRoot();
  EXPECT_TRUE(Eventually([&] { return Problem(server) == "queue tasks is paused"; }));
  EXPECT_EQ(Count(server, "indexed"), 0);

  // What is changed while this machine is alone holds there, too.
  redis.Kill();
  ASSERT_TRUE(Eventually([&] { return Problem(server).find("is away") != std::string::npos; }));
  EXPECT_TRUE(paused());
  server.Post("/api/queue/tasks/resume");
  ASSERT_TRUE(Eventually([&] { return Count(server, "indexed") == 5; })) << server.log();
  redis.Restart();
  ASSERT_TRUE(Eventually([&] { return Problem(server).empty(); })) << Problem(server);
  EXPECT_TRUE(Eventually([&] { return !paused() && !paused_there(); })) << server.log();
}

TEST(ComputeServer, TakesNoTasksOfAnotherLibraryThanItsControllers) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = WithoutReading(ConfigFile(folder, "127.0.0.1", redis.port()));
  // Two libraries whose files have the same numbers, the first with its tasks in Redis.
  Server one({"--config", config, "--token", "secret"}, "builtin", "controller");
  Server other({"--token", "secret"}, "builtin", "controller");
  WritePictures(one.files(), 0, 6);
  WritePictures(other.files(), 100, 6);
  for (Server* server : {&one, &other}) {
    ASSERT_TRUE(server->Start()) << server->log();
    server->AddRoot();
    ASSERT_TRUE(Eventually([&] { return Count(*server, "pending") == 6; })) << server->log();
  }
  const auto compute = [&](const std::string& data, const Server& controller) {
    return std::vector<std::string>{"msearch",
                                    "run",
                                    "compute",
                                    "--config",
                                    config,
                                    "--data",
                                    folder.path() + data,
                                    "--controller",
                                    controller.url(),
                                    "--token",
                                    "secret",
                                    "--workers",
                                    "1"};
  };
  const Background wrong(compute("/wrong", other));
  ASSERT_TRUE(Eventually([&] {
    return wrong.log().find("that of another library") != std::string::npos;
  })) << wrong.log();
  EXPECT_THAT(wrong.log(), HasSubstr(one.data()));
  EXPECT_EQ(Count(one, "pending"), 6);
  EXPECT_EQ(Count(one, "failed"), 0);

  const Background right(compute("/right", one));
  ASSERT_TRUE(one.AwaitIdle()) << one.log() << right.log();
  EXPECT_EQ(Count(one, "indexed"), 6);
  EXPECT_EQ(Count(one, "failed"), 0);
}

TEST(Machines, WithoutRoomForMediaTakeNothingSaySoAndLoseNothing) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const Machine machine;
  if (!machine.ok()) GTEST_SKIP() << "no network namespaces here (root and iproute2 are needed)";
  const RedisServer redis({"--bind", machine.here(), "127.0.0.1", "--protected-mode", "no"});
  const TemporaryDirectory folder;
  const std::string config = WithoutReading(ConfigFile(folder, machine.here(), redis.port()));
  Server server({"--config", config, "--host", machine.here(), "--token", "secret"}, "builtin",
                "controller");
  // Each is larger than the disk there.
  for (int i = 0; i < 6; ++i) {
    Write(server.files() + "/notes-" + std::to_string(i) + ".txt",
          "frog " + std::to_string(i) + std::string(6 << 20, ' '));
  }
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  const auto compute = [&](const std::string& data, const std::string& mounts) {
    return std::vector<std::string>{
        "ip",           "netns",    "exec",
        machine.name(), "unshare",  "-m",
        "sh",           "-c",       "mkdir -p \"$0\" && " + mounts + " && exec \"$@\"",
        data,           "msearch",  "run",
        "compute",      "--config", config,
        "--data",       data,       "--controller",
        server.url(),   "--token",  "secret",
        "--workers",    "1"};
  };
  const std::string hide = "mount -t tmpfs none " + fs::path(server.files()).parent_path().string();
  const Background small(
      compute(folder.path() + "/small", hide + " && mount -t tmpfs -o size=4m none \"$0\""));
  ASSERT_TRUE(Eventually([&] {
    return server.Get("/api/doctor").body.find("No space left on device") != std::string::npos;
  })) << server.log()
      << small.log();
  const Json tasks = server.Get("/api/tasks?status=queued&limit=1").json;
  ASSERT_FALSE(tasks["tasks"].empty());
  EXPECT_EQ(Count(server, "failed"), 0);

  const Background large(compute(folder.path() + "/large", hide));
  ASSERT_TRUE(server.AwaitIdle()) << server.log() << large.log();
  EXPECT_EQ(Count(server, "failed"), 0) << server.Get("/api/failures").body;
  EXPECT_EQ(Count(server, "indexed"), 6);
}

TEST(ComputeServer, NeedsRedisForItsTasks) {
  const auto result = RunMsearch({"run", "compute", "--controller", "http://127.0.0.1:1"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("redis.host"));
}

// --- fencing -------------------------------------------------------------------------------

TEST(Fencing, AWorkerStoppedBeyondItsLeaseChangesNothingAndIsCounted) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  constexpr int kPictures = 120;  // work for some seconds
  const RedisServer redis;
  const TemporaryDirectory folder;
  Server server({"--config", ConfigFile(folder, "127.0.0.1", redis.port()), "--workers", "2"});
  WritePictures(server.files(), 0, kPictures, 1500);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();

  auto holds = [&](pid_t pid) {
    for (const Json& worker : server.Get("/api/workers").json.value("workers", Json::array())) {
      if (GetInt(worker, "pid") == pid && worker.contains("current")) return true;
    }
    return false;
  };
  // Stopped while it holds leases; tried again when it was just between two batches.
  pid_t stopped = 0;
  ASSERT_TRUE(Eventually([&] {
    for (pid_t pid : server.Pids("task_worker")) {
      if (!holds(pid)) continue;
      kill(pid, SIGSTOP);
      if (holds(pid)) {
        stopped = pid;
        return true;
      }
      kill(pid, SIGCONT);
    }
    return false;
  }));
  // The other one does it all.
  EXPECT_TRUE(server.AwaitIdle()) << server.log();
  EXPECT_EQ(Count(server, "indexed"), kPictures);
  kill(stopped, SIGCONT);
  EXPECT_TRUE(Eventually([&] {
    return GetInt(server.Get("/api/queue/stats").json, "stale_results").value_or(0) > 0;
  })) << server.log();
  EXPECT_GT(Metric(server, "msearch_stale_results_total"), 0);
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_EQ(Count(server, "indexed"), kPictures);
  EXPECT_EQ(MediaTotal(server), kPictures);
  EXPECT_EQ(Metric(server, "msearch_commits_total{new=\"content\"}"), kPictures)
      << "each took effect once";
}

// --- Redis goes away -----------------------------------------------------------------------

struct Away {
  const char* name;
  void (*leave)(RedisServer&);
  void (*come_back)(RedisServer&);
};
void PrintTo(const Away& away, std::ostream* out) { *out << away.name; }

class RedisAway : public testing::TestWithParam<Away> {};

TEST_P(RedisAway, InTheMiddleOfABuildLosesNothingAndRepeatsNothing) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  constexpr int kPictures = 300;
  RedisServer redis({"--appendonly", "yes"});
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  Server server({"--config", config, "--workers", "1"}, "builtin", "controller");
  WritePictures(server.files(), 0, kPictures);
  ASSERT_TRUE(server.Start()) << server.log();
  const Background compute({"msearch", "run", "compute", "--config", config, "--data",
                            folder.path() + "/compute", "--controller", server.url(), "--workers",
                            "1"});
  server.AddRoot();
  const auto build =
      server.Post("/api/build_index", {{"dataset_names", {"files"}}, {"distributed", true}}).json;
  EXPECT_EQ(GetBool(build, "distributed"), true) << build;
  ASSERT_TRUE(Eventually([&] { return Count(server, "indexed") >= 20; })) << server.log();
  ASSERT_LT(Count(server, "indexed"), kPictures) << "it was over before Redis went";
  GetParam().leave(redis);
  // Who waits for the end of the work is not sent away meanwhile.
  const auto meanwhile = server.Get("/api/index/status");
  EXPECT_EQ(meanwhile.status, 200) << meanwhile.body;
  EXPECT_EQ(GetBool(meanwhile.json, "idle"), false);

  // The controller's machine says so, and goes on alone.
  ASSERT_TRUE(Eventually([&] { return Problem(server).find("is away") != std::string::npos; }))
      << server.log();
  const auto alone =
      server.Get("/api/build_index/" + GetString(build, "build_id").value_or("")).json;
  EXPECT_EQ(GetBool(alone, "distributed"), false);
  EXPECT_THAT(GetString(alone, "not_distributed_because").value_or(""), HasSubstr("is away"));
  EXPECT_EQ(GetString(server.Get("/health").json, "status"), "degraded");
  ASSERT_TRUE(Eventually([&] { return Count(server, "indexed") == kPictures; }, 120))
      << server.Get("/api/index/status").body << server.log();

  GetParam().come_back(redis);
  ASSERT_TRUE(Eventually([&] { return Problem(server).empty(); })) << server.log();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_EQ(Count(server, "indexed"), kPictures);
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_EQ(MediaTotal(server), kPictures);
  EXPECT_EQ(Metric(server, "msearch_commits_total{new=\"content\"}"), kPictures);
  const std::string id = GetString(build, "build_id").value_or("");
  EXPECT_TRUE(Eventually(
      [&] { return GetString(server.Get("/api/build_index/" + id).json, "state") == "finished"; }));

  // The compute server works again, and the stand-ins are gone.
  ASSERT_TRUE(Eventually([&] { return server.Pids("task_worker").size() == 1; })) << server.log();
  const int64_t before = DoneBy(server, "task_worker");
  WritePictures(server.files(), kPictures, 20);
  EXPECT_TRUE(Eventually([&] { return Count(server, "indexed") == kPictures + 20; }))
      << compute.log();
  EXPECT_TRUE(Eventually([&] { return DoneBy(server, "task_worker") >= before + 20; }));
}

INSTANTIATE_TEST_SUITE_P(System, RedisAway,
                         testing::Values(Away{"Killed", [](RedisServer& redis) { redis.Kill(); },
                                              [](RedisServer& redis) { redis.Restart(); }},
                                         Away{"Paused",
                                              [](RedisServer& redis) { redis.Signal(SIGSTOP); },
                                              [](RedisServer& redis) { redis.Signal(SIGCONT); }}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(RedisFlushed, InTheMiddleOfABuildTheReconcilerRestoresTheWork) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  constexpr int kPictures = 200;
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = WithoutReading(ConfigFile(folder, "127.0.0.1", redis.port()));
  Server server({"--config", config, "--workers", "1"});
  WritePictures(server.files(), 0, kPictures);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(Eventually([&] { return Count(server, "indexed") >= 10; })) << server.log();
  ASSERT_LT(Count(server, "indexed"), kPictures);
  EXPECT_EQ(redis.Call({"FLUSHALL"}), "OK");
  ASSERT_TRUE(server.AwaitIdle()) << server.log();
  EXPECT_EQ(Count(server, "indexed"), kPictures);
  EXPECT_EQ(MediaTotal(server), kPictures);
  EXPECT_EQ(Metric(server, "msearch_commits_total{new=\"content\"}"), kPictures);
}

TEST(RedisFlushed, WithTheBlobsFullTheWorkGoesOnAllTheSame) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  constexpr int kPictures = 290;  // whose pixels don't fit
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = WithoutReading(ConfigFile(folder, "127.0.0.1", redis.port()));
  Write(config, ReadFile(config).value_or("") + "blobs:\n  bytes_max: 16777216\n");
  Server server({"--config", config, "--workers", "1"});
  WritePictures(server.files(), 0, kPictures);
  ASSERT_TRUE(server.Start()) << server.log();
  server.Post("/api/queue/embed/pause");
  server.AddRoot();
  // Preparing is held back.
  ASSERT_TRUE(Eventually([&] {
    return GetInt(server.Get("/api/compute/blobs").json, "bytes").value_or(0) > (12 << 20);
  })) << server.Get("/api/compute/blobs").body;
  EXPECT_EQ(redis.Call({"FLUSHALL"}), "OK");
  server.Post("/api/queue/embed/resume");  // the pause isn't lost
  ASSERT_TRUE(server.AwaitIdle()) << server.Get("/api/queue/stats").body << server.log();
  EXPECT_EQ(Count(server, "indexed"), kPictures);
  EXPECT_EQ(Count(server, "failed"), 0);
}

TEST(RedisAbsent, AtTheStartTheControllerWorksAloneAndSaysSo) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  RedisServer redis;
  redis.Kill();
  const TemporaryDirectory folder;
  Server server({"--config", ConfigFile(folder, "127.0.0.1", redis.port()), "--workers", "1"});
  WritePictures(server.files(), 0, 5);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle()) << server.log();
  EXPECT_EQ(Count(server, "indexed"), 5);
  EXPECT_THAT(Problem(server), HasSubstr("is away"));
  EXPECT_THAT(server.Get("/api/queue/stats").json.value("problem", ""), HasSubstr("is away"));
  redis.Restart();
  EXPECT_TRUE(Eventually([&] { return Problem(server).empty(); })) << server.log();
}

// What the doctor says about one thing; an empty object when it says nothing.
Json CheckOf(const Server& server, const std::string& name) {
  for (const Json& check : server.Get("/api/doctor").json.value("checks", Json::array())) {
    if (GetString(check, "name") == name) return check;
  }
  return Json::object();
}

TEST(RedisAbsent, WithoutFallBackTheDoctorStillAnswersAndSaysSo) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  RedisServer redis;
  const TemporaryDirectory folder;
  setenv("MSEARCH_REDIS_FALLBACK", "false", 1);
  Server server({"--config", WithoutReading(ConfigFile(folder, "127.0.0.1", redis.port()))},
                "builtin", "controller");
  const bool started = server.Start();
  unsetenv("MSEARCH_REDIS_FALLBACK");
  ASSERT_TRUE(started) << server.log();
  redis.Kill();
  ASSERT_TRUE(Eventually([&] { return GetBool(CheckOf(server, "redis"), "ok") == false; }));
  const Json seen = CheckOf(server, "tasks and workers");
  EXPECT_EQ(GetBool(seen, "ok"), false) << server.Get("/api/doctor").body;
  EXPECT_THAT(GetString(seen, "advice").value_or(""), HasSubstr("start the server"));
  EXPECT_EQ(GetBool(CheckOf(server, "index"), "ok"), true) << "the rest is looked at all the same";
}

TEST(RedisAbsent, WithoutFallBackTheControllerDoesNotServe) {
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", FreePort());
  setenv("MSEARCH_REDIS_FALLBACK", "false", 1);
  const Background server({"msearch", "run", "controller", "--config", config, "--data",
                           folder.path() + "/data", "--port", "0", "--model", "builtin"});
  unsetenv("MSEARCH_REDIS_FALLBACK");
  EXPECT_TRUE(Eventually([&] {
    return server.log().find("exited with status 1") != std::string::npos;
  })) << server.log();
  EXPECT_EQ(server.log().find("ready http"), std::string::npos);
}

// --- features ------------------------------------------------------------------------------

TEST(Features, OfPathsAndUploadsComeFromTheWorkers) {
  Server server;
  WritePictures(server.files(), 0, 3);
  Write(server.files() + "/broken.png", "no picture");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  const int64_t media = MediaTotal(server);

  const std::string good = server.files() + "/picture-1.png";
  const auto one = server.Post("/api/compute/feature_extraction", {{"image_path", good}});
  ASSERT_EQ(one.status, 200) << one.body;
  EXPECT_GT(GetInt(one.json, "dimensions").value_or(0), 0);
  EXPECT_EQ(server.Post("/api/compute/feature_extraction", {{"image_path", "/etc/passwd"}}).status,
            403);
  fs::create_symlink("/etc/hostname", server.files() + "/link.png");
  EXPECT_EQ(
      server.Post("/api/compute/feature_extraction", {{"image_path", server.files() + "/link.png"}})
          .status,
      403);
  EXPECT_EQ(server.Post("/api/compute/feature_extraction").status, 400);
  for (const Json& wrong : {Json{{"dataset_names", "files"}}, Json{{"dataset_names", {1}}},
                            Json{{"distributed", "yes"}}, Json{{"names", {"files"}}}}) {
    EXPECT_EQ(server.Post("/api/build_index", wrong).status, 400) << wrong;
  }
  EXPECT_EQ(server.Post("/api/build_index", {{"dataset_names", {"other"}}}).status, 404);
  const auto alone = server.Post("/api/build_index", {{"distributed", true}}).json;
  EXPECT_EQ(GetBool(alone, "distributed"), false);
  EXPECT_THAT(GetString(alone, "not_distributed_because").value_or(""), HasSubstr("redis.host"));

  const auto many =
      server.Post("/api/compute/batch_feature_extraction",
                  {{"image_paths", {good, server.files() + "/broken.png", "/etc/passwd"}}});
  ASSERT_EQ(many.status, 200) << many.body;
  const Json& results = many.json["results"];
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0]["features"], one.json["features"]);
  EXPECT_NE(GetString(results[1]["error"], "message").value_or(""), "");
  EXPECT_EQ(GetString(results[2]["error"], "code"), "permission");
  EXPECT_EQ(GetInt(many.json, "done"), 1);
  EXPECT_EQ(GetInt(many.json, "failed"), 2);
  EXPECT_EQ(MediaTotal(server), media) << "nothing is committed";
  EXPECT_TRUE(Eventually([&] { return BlobsLeft(server) == 0; }));
}

TEST(Features, WhatIsNotDoneInTimeHasAReason) {
  Server server;
  WritePictures(server.files(), 0, 2);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  server.Post("/api/queue/embed/pause");
  const auto many =
      server.Post("/api/compute/batch_feature_extraction",
                  {{"image_paths", {server.files() + "/picture-0.png"}}, {"timeout", 0.5}});
  ASSERT_EQ(many.status, 200) << many.body;
  EXPECT_EQ(GetString(many.json["results"][0]["error"], "code"), "timeout");
  EXPECT_THAT(GetString(many.json["results"][0]["error"], "message").value_or(""),
              HasSubstr("queue embed is paused"));

  // Why a task waits is said in one sentence.
  const auto rescan = server.Post("/api/roots/files/scan?full=1");
  EXPECT_EQ(rescan.status, 202);
  Write(server.files() + "/later.png", Encoded(Flat(70, 70, {9, 9, 9}), "png"));
  std::string why;
  EXPECT_TRUE(Eventually([&] {
    const Json tasks = server.Get("/api/tasks?queue=embed&status=queued").json;
    if (tasks.value("tasks", Json::array()).empty()) return false;
    const std::string id = GetString(tasks["tasks"][0], "task_id").value_or("");
    why = GetString(server.Get("/api/tasks/" + id).json, "why").value_or("");
    return !why.empty();
  }));
  EXPECT_EQ(why, "queue embed is paused");
}

// --- the service ---------------------------------------------------------------------------

TEST(Service, KilledSupervisorsLeaveNoSettingsBehind) {
  Server server({}, "builtin", "controller");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(server.Start()) << server.log();
    server.Kill(SIGKILL);
    ASSERT_TRUE(Eventually([&] { return ProcessesWith(server.data()).empty(); }));
  }
  int left = 0;
  for (const auto& entry : fs::directory_iterator(server.data() + "/run")) {
    left += entry.path().filename().native().starts_with("settings") ? 1 : 0;
  }
  EXPECT_EQ(left, 1) << "they hold the access token";
}

TEST(Service, SeesAComputeServerThatRunsAlone) {
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  const RedisServer redis;
  const TemporaryDirectory folder;
  const std::string config = ConfigFile(folder, "127.0.0.1", redis.port());
  const std::vector<std::string> where{
      "--config",           config,      "--data", folder.path() + "/data", "--controller",
      "http://127.0.0.1:1", "--workers", "1"};
  auto service = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "service");
    words.insert(words.end(), where.begin(), where.end());
    return RunMsearch(words);
  };
  EXPECT_EQ(service({"status"}).status, 3);
  const auto started = service({"start", "compute"});
  EXPECT_EQ(started.status, 0) << started.err;
  EXPECT_THAT(started.out, HasSubstr("waiting: controller http://127.0.0.1:1"));
  const auto status = service({"status", "compute"});
  EXPECT_EQ(status.status, 0);
  EXPECT_THAT(status.out, HasSubstr("msearch compute is running"));
  EXPECT_THAT(status.out, HasSubstr("task_worker"));
  EXPECT_THAT(status.out, HasSubstr("waiting: controller http://127.0.0.1:1"));
  EXPECT_EQ(service({"status", "controller"}).status, 3);
  EXPECT_EQ(service({"stop", "all"}).status, 0);
  EXPECT_EQ(service({"status"}).status, 3);
}

}  // namespace
}  // namespace msearch::test
