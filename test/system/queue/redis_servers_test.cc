// The queue in real Redis servers to which things happen: restarts, flushes, fail-overs, a cluster,
// wrong configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "queue/redis_queue.h"
#include "queue/worker.h"
#include "support/eventually.h"
#include "support/manual_clock.h"
#include "support/redis_server.h"

namespace msearch::queue {
namespace {

using std::chrono::steady_clock;
using test::Eventually;
using test::RedisServer;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Milliseconds kForever{3'600'000};
constexpr Milliseconds kDeadline{60000};  // of polling

NewTask MakeTask(const std::string& kind = "work") {
  NewTask task;
  task.queue = "tasks";
  task.kind = kind;
  return task;
}

LeaseRequest Request(size_t count = 1, Milliseconds wait_max = Milliseconds(0)) {
  LeaseRequest request;
  request.worker = "worker-1";
  request.queues = {"tasks"};
  request.count_max = count;
  request.wait_max = wait_max;
  return request;
}

RedisQueueOptions OptionsFor(const RedisServer& server) {
  RedisQueueOptions options;
  options.server.port = server.port();
  return options;
}

std::unique_ptr<TaskQueue> Open(const RedisQueueOptions& options) {
  auto queue = OpenRedisQueue(options);
  EXPECT_TRUE(queue.ok()) << queue.message();
  return queue.ok() ? *std::move(queue) : nullptr;
}

Result<> Finish(TaskQueue& queue, const Lease& lease) {
  const Completion completion{lease, Json::object(), {}};
  auto answers = queue.Complete(std::span(&completion, 1));
  if (!answers.ok()) return answers.error();
  return (*answers)[0];
}

// A worker as the program has it, that counts how often it did what.
class Worker {
 public:
  explicit Worker(std::shared_ptr<TaskQueue> queue, const std::string& name = "worker")
      : queue_(std::move(queue)) {
    options_.info.id = "host:1:" + name + ":0";
    options_.queues = {"tasks"};
    options_.batch_max = 5;
    options_.handlers["work"] = [this](std::span<const std::unique_ptr<TaskContext>> tasks) {
      const std::lock_guard lock(mutex_);
      for (const auto& task : tasks) ++done_[task->lease().task.id];
      return std::vector<Outcome>(tasks.size());
    };
    thread_ = std::jthread(
        [this](const std::stop_token& stop) { RunWorker(*queue_, options_, stop, kForever); });
  }
  std::map<TaskId, int> done() {
    const std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  std::shared_ptr<TaskQueue> queue_;
  WorkerOptions options_;
  std::mutex mutex_;
  std::map<TaskId, int> done_;  // by mutex_
  std::jthread thread_;
};

class RedisServers : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server";
    signal(SIGPIPE, SIG_IGN);
  }
};

TEST_F(RedisServers, KeysAreThoseThatAreDocumented) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  NewTask task = MakeTask();
  task.payload = {{"path", "/photos/giraffe.jpg"}};
  task.priority = Priority::kHigh;
  const TaskId id = *queue->Enqueue(task);
  const std::string key = "task:" + id;
  EXPECT_EQ(server.Call({"LRANGE", "queue:tasks:pending", "0", "-1"}), id + "\n");
  EXPECT_EQ(server.Call({"LRANGE", "queue:tasks:priority:high", "0", "-1"}), id + "\n");
  EXPECT_EQ(server.Call({"HGET", key + ":status", "status"}), "queued");
  EXPECT_EQ(server.Call({"OBJECT", "ENCODING", key + ":status"}), "listpack");
  const auto leases = queue->TakeLeases(Request());
  EXPECT_EQ(server.Call({"LLEN", "queue:tasks:pending"}), "0");
  EXPECT_EQ(server.Call({"SMEMBERS", "queue:tasks:processing"}), id + "\n");
  ASSERT_TRUE(queue->SetProgress((*leases)[0], {0.5, "half", ""}).ok());
  EXPECT_THAT(server.Call({"GET", key + ":progress"}), HasSubstr("0.5"));
  EXPECT_NE(server.Call({"TTL", key + ":progress"}), "-1");
  ASSERT_TRUE(Finish(*queue, (*leases)[0]).ok());
  EXPECT_EQ(server.Call({"SCARD", "queue:tasks:processing"}), "0");
  EXPECT_EQ(server.Call({"LRANGE", "queue:tasks:completed", "0", "-1"}), id + "\n");
  EXPECT_EQ(server.Call({"HGET", key + ":status", "status"}), "finished");
  EXPECT_EQ(server.Call({"GET", key + ":result"}), "{}");
  EXPECT_NE(server.Call({"TTL", key + ":result"}), "-1");
  const TaskId bad = *queue->Enqueue(MakeTask());
  ASSERT_TRUE(
      queue->Fail({queue->TakeLeases(Request())->at(0), {Code::kCorrupt, "it: broke"}}).ok());
  EXPECT_EQ(server.Call({"LRANGE", "queue:tasks:failed", "0", "-1"}), bad + "\n");

  WorkerInfo info;
  info.id = "host:17:controller:1:commit";
  info.role = "controller";
  ASSERT_TRUE(queue->Heartbeat(info, Milliseconds(5000)).ok());
  info.id = "host:18:task_worker:1";
  info.role = "task_worker";
  ASSERT_TRUE(queue->Heartbeat(info, Milliseconds(5000)).ok());
  EXPECT_EQ(server.Call({"HGET", "process:main:status", "role"}), "controller");
  EXPECT_EQ(server.Call({"GET", "heartbeat:main"}), "host:17:controller:1:commit");
  EXPECT_EQ(server.Call({"EXISTS", "heartbeat:task_worker:host:18:1"}), "1");
  EXPECT_NE(server.Call({"TTL", "heartbeat:main"}), "-1");
  // A second controller doesn't take the first one's place.
  info.id = "other:19:controller:0";
  ASSERT_TRUE(queue->Heartbeat(info, Milliseconds(5000)).ok());
  EXPECT_EQ(server.Call({"GET", "heartbeat:main"}), "host:17:controller:1:commit");
  EXPECT_THAT(*queue->Workers(), SizeIs(3));
}

TEST_F(RedisServers, FlushedFunctionsComeBack) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const TaskId id = *queue->Enqueue(MakeTask());
  EXPECT_EQ(server.Call({"FUNCTION", "FLUSH"}), "OK");
  EXPECT_EQ(server.Call({"SCRIPT", "FLUSH"}), "OK");
  const auto leases = queue->TakeLeases(Request());
  ASSERT_TRUE(leases.ok()) << leases.message();
  ASSERT_THAT(*leases, SizeIs(1));
  EXPECT_EQ((*leases)[0].task.id, id);
}

TEST_F(RedisServers, FlushedDataIsAnotherStateAndWorkGoesOn) {
  RedisServer server;
  const std::shared_ptr<TaskQueue> queue = Open(OptionsFor(server));
  const std::string before = *queue->StateId();
  Worker worker(queue);
  ASSERT_TRUE(Eventually([&] { return queue->Workers()->size() == 1; }));
  EXPECT_EQ(server.Call({"FLUSHALL"}), "OK");
  EXPECT_NE(*queue->StateId(), before);
  ASSERT_TRUE(queue->RaiseEpoch(2).ok());
  const TaskId id = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Await(id, kDeadline, {})->status, Status::kFinished);
}

TEST_F(RedisServers, ThousandTasksSurviveARestartEachDoneOnce) {
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  const std::shared_ptr<TaskQueue> queue = Open(OptionsFor(server));
  const std::vector<NewTask> tasks(1000, MakeTask());
  const auto ids = queue->Enqueue(tasks);
  ASSERT_TRUE(ids.ok());
  Worker first(queue, "first");
  Worker second(queue, "second");
  ASSERT_TRUE(Eventually([&] { return first.done().size() + second.done().size() > 50; }));
  server.Kill();
  server.Restart();
  ASSERT_TRUE(Eventually([&] {
    const auto stats = queue->Stats();
    return stats.ok() && stats->at(0).finished == 1000;
  }));
  for (const TaskId& id : *ids) {
    const auto events = queue->Events(id);
    ASSERT_TRUE(events.ok());
    EXPECT_EQ(std::count_if(events->begin(), events->end(),
                            [](const TaskEvent& event) { return event.what == "finished"; }),
              1);
  }
  // No answer to a completion that had been stored: its worker is told that it is stale, not to
  // do it again. One under way when the connection broke may be done again by contract; here all
  // leases outlive the restart.
  for (const auto& [id, times] : first.done()) EXPECT_EQ(times + second.done()[id], 1) << id;
}

TEST_F(RedisServers, CallsFailSoonWhileTheServerIsAwayAndSucceedWhenItIsBack) {
  RedisServer server({"--appendonly", "yes"});
  RedisQueueOptions options = OptionsFor(server);
  options.server.command_timeout = Milliseconds(500);
  const auto queue = Open(options);
  server.Kill();
  const auto refused = queue->Enqueue(MakeTask());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_EQ(queue->TakeLeases(Request(1, kForever)).code(), Code::kUnavailable);
  EXPECT_EQ(OpenRedisQueue(options).code(), Code::kUnavailable);
  server.Restart();
  EXPECT_TRUE(Eventually([&] { return queue->Enqueue(MakeTask()).ok(); }));
  // One that hangs is away as well.
  server.Signal(SIGSTOP);
  const auto hung = queue->Enqueue(MakeTask());
  server.Signal(SIGCONT);
  ASSERT_FALSE(hung.ok());
  EXPECT_EQ(hung.code(), Code::kUnavailable);
  EXPECT_TRUE(Eventually([&] { return queue->Enqueue(MakeTask()).ok(); }));
}

TEST_F(RedisServers, WaitingWorkerNoticesThatItsServerRestarted) {
  RedisServer server({"--appendonly", "yes"});
  const std::shared_ptr<TaskQueue> queue = Open(OptionsFor(server));
  Worker worker(queue);
  ASSERT_TRUE(Eventually([&] { return queue->Workers()->size() == 1; }));
  server.Kill();
  server.Restart();
  Result<TaskId> id = queue->Enqueue(MakeTask());
  ASSERT_TRUE(Eventually([&] {
    if (!id.ok()) id = queue->Enqueue(MakeTask());
    return id.ok();
  }));
  EXPECT_TRUE(Eventually([&] { return worker.done().contains(*id); }));
}

TEST_F(RedisServers, WaitsForTheEndOfTasksGoOnAfterARestart) {
  RedisServer server({"--appendonly", "yes"});
  const std::shared_ptr<TaskQueue> queue = Open(OptionsFor(server));
  Worker worker(queue);
  for (int i = 0; i < 3; ++i) {
    const auto task = queue->EnqueueAndAwait(MakeTask(), kDeadline, {});
    ASSERT_TRUE(task.ok()) << task.message();
    EXPECT_EQ(task->status, Status::kFinished);
  }
  // One channel heard of all three, and nothing is left of the waits.
  EXPECT_EQ(Split(Trim(server.Call({"PUBSUB", "SHARDCHANNELS", "queue:ear:*"})), '\n').size(), 1);
  EXPECT_EQ(server.Call({"EXISTS", "queue:marked"}), "0");
  server.Kill();
  server.Restart();
  ASSERT_TRUE(Eventually([&] {
    const auto task = queue->EnqueueAndAwait(MakeTask(), kDeadline, {});
    return task.ok() && task->status == Status::kFinished;
  }));
}

TEST_F(RedisServers, QueueBelongsToOneLibraryAtATime) {
  RedisServer server;
  test::ManualClock clock;
  RedisQueueOptions options = OptionsFor(server);
  options.clock = &clock;
  options.library = {"one", "/photos/one on host"};
  const auto one = Open(options);
  const std::string state = *one->StateId();
  std::vector<NewTask> tasks(1200, MakeTask());
  tasks[7].unique_key = "key";
  ASSERT_TRUE(one->Enqueue(tasks).ok());
  const Lease lease = one->TakeLeases(Request())->at(0);
  ASSERT_TRUE(Finish(*one, one->TakeLeases(Request())->at(0)).ok());
  EXPECT_EQ(*one->StateId(), state);

  options.library = {"two", "/photos/two on host"};
  const auto two = Open(options);
  const auto refused = two->StateId();
  EXPECT_EQ(refused.code(), Code::kConflict);
  EXPECT_THAT(refused.message(), HasSubstr("/photos/one on host"));
  EXPECT_THAT(refused.message(), HasSubstr("redis.prefix"));
  EXPECT_EQ(one->Stats()->at(0).queued, 1198);

  // Stopped or dead: its tasks name files of its own, which would be others here.
  clock.Advance(options.library_ttl + Milliseconds(1));
  const auto taken = two->StateId();
  ASSERT_TRUE(taken.ok()) << taken.message();
  EXPECT_NE(*taken, state);
  EXPECT_EQ(*two->StateId(), *taken);
  EXPECT_EQ(*two->Count({}), 0);
  EXPECT_EQ(server.Call({"KEYS", "task:*"}), "");
  EXPECT_EQ(Finish(*two, lease).code(), Code::kStale);
  EXPECT_EQ(one->StateId().code(), Code::kConflict);
  const TaskId id = *two->Enqueue(MakeTask());
  EXPECT_GT(two->TakeLeases(Request())->at(0).token.counter, lease.token.counter);
  EXPECT_EQ(two->Get(id)->status, Status::kStarted);
}

TEST_F(RedisServers, WhoseQueueItIsCanBeAsked) {
  RedisServer server;
  RedisQueueOptions options = OptionsFor(server);
  const auto redis = storage::Redis::Make(options.server);
  ASSERT_TRUE(redis.ok());
  EXPECT_EQ(LibraryOf(**redis, "")->id, "");
  options.library = {"one", "/data on host"};
  const auto queue = Open(options);
  ASSERT_TRUE(queue->StateId().ok());
  EXPECT_EQ(LibraryOf(**redis, "")->id, "one");
  EXPECT_EQ(LibraryOf(**redis, "")->place, "/data on host");
}

TEST_F(RedisServers, LibraryThatIsClosedGivesItsQueueBack) {
  RedisServer server;
  RedisQueueOptions options = OptionsFor(server);
  options.library = {"one", "here"};
  auto one = Open(options);
  ASSERT_TRUE(one->StateId().ok());
  options.library = {"two", "there"};
  const auto two = Open(options);
  EXPECT_EQ(two->StateId().code(), Code::kConflict);
  one.reset();
  EXPECT_TRUE(two->StateId().ok());
}

TEST_F(RedisServers, ServerThatMayEvictTasksIsRefused) {
  RedisServer server({"--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"});
  const auto queue = OpenRedisQueue(OptionsFor(server));
  ASSERT_FALSE(queue.ok());
  EXPECT_EQ(queue.code(), Code::kInvalid);
  EXPECT_THAT(queue.message(), HasSubstr("maxmemory-policy"));
  server.Call({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_TRUE(OpenRedisQueue(OptionsFor(server)).ok());
}

TEST_F(RedisServers, FullServerTakesNoTasksButLetsThemEnd) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const TaskId id = *queue->Enqueue(MakeTask());
  server.Call({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(queue->Enqueue(MakeTask()).code(), Code::kExhausted);
  const auto leases = queue->TakeLeases(Request());
  ASSERT_TRUE(leases.ok()) << leases.message();
  EXPECT_TRUE(Finish(*queue, leases->at(0)).ok());
  EXPECT_EQ(queue->Get(id)->status, Status::kFinished);
}

// What opening a queue says; it names the server in any case.
std::string RefusalOf(const RedisQueueOptions& options) {
  const auto queue = OpenRedisQueue(options);
  if (queue.ok()) return "opened";
  EXPECT_THAT(queue.message(),
              HasSubstr("redis 127.0.0.1:" + std::to_string(options.server.port) + ": "));
  return queue.message();
}

TEST_F(RedisServers, ServerThatTakesNothingNowIsNamedWithTheReason) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const std::string where = "redis 127.0.0.1:" + std::to_string(server.port()) + ": ";
  server.Call({"CONFIG", "SET", "maxmemory", "1"});
  const auto full = queue->Enqueue(MakeTask());
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.code(), Code::kExhausted);
  EXPECT_THAT(full.message(), testing::AllOf(HasSubstr(where), HasSubstr("maxmemory")));
  server.Call({"CONFIG", "SET", "maxmemory", "0"});
  server.Call({"REPLICAOF", "127.0.0.1", std::to_string(test::FreePort())});
  const auto degraded = queue->Enqueue(MakeTask());
  ASSERT_FALSE(degraded.ok());
  EXPECT_EQ(degraded.code(), Code::kUnavailable);
  EXPECT_THAT(degraded.message(), testing::AllOf(HasSubstr(where), HasSubstr("read-only replica")));
  server.Call({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(queue->Enqueue(MakeTask()).ok());
  // Last, because nobody else gets in from then on.
  server.Call({"CONFIG", "SET", "maxclients", "1"});
  EXPECT_THAT(RefusalOf(OptionsFor(server)),
              testing::AllOf(HasSubstr(where), HasSubstr("maxclients")));
}

TEST_F(RedisServers, HealthTellsOfPersistenceAndClock) {
  RedisServer server;
  const auto redis = storage::Redis::Make(OptionsFor(server).server);
  const auto health = CheckRedis(**redis);
  ASSERT_TRUE(health.ok());
  EXPECT_THAT(health->faults, IsEmpty());
  ASSERT_THAT(health->warnings, SizeIs(1));
  EXPECT_THAT(health->warnings[0], HasSubstr("appendonly"));
  EXPECT_LT(std::abs(health->clock_ahead_ms), 60000);
  server.Call({"CONFIG", "SET", "appendonly", "yes"});
  EXPECT_THAT(CheckRedis(**redis)->warnings, IsEmpty());
}

TEST_F(RedisServers, UsersAndPasswordsAreChecked) {
  RedisServer server({"--requirepass", "secret"});
  RedisQueueOptions options = OptionsFor(server);
  EXPECT_EQ(OpenRedisQueue(options).code(), Code::kPermission);
  options.server.password = "wrong";
  EXPECT_EQ(OpenRedisQueue(options).code(), Code::kPermission);
  options.server.password = "secret";
  EXPECT_TRUE(OpenRedisQueue(options).ok());
}

TEST_F(RedisServers, RefusalsNameTheServerAndTheSettingToChange) {
  RedisServer server({"--requirepass", "secret"});
  RedisQueueOptions options = OptionsFor(server);
  EXPECT_THAT(RefusalOf(options), HasSubstr("wants a password (redis.password"));
  options.server.password = "wrong";
  EXPECT_THAT(RefusalOf(options), HasSubstr("does not take this password for the default user"));
  options.server.user = "nobody";
  EXPECT_THAT(RefusalOf(options), HasSubstr("user nobody"));
  options.server.user = "";
  options.server.password = "secret";
  options.server.db = 99;
  EXPECT_THAT(RefusalOf(options), HasSubstr("has no database 99 (redis.db)"));

  RedisServer open;
  RedisQueueOptions needless = OptionsFor(open);
  needless.server.password = "secret";
  EXPECT_THAT(RefusalOf(needless), HasSubstr("has no password, but is sent one (redis.password)"));

  open.Kill();
  EXPECT_THAT(RefusalOf(OptionsFor(open)), HasSubstr("Connection refused"));
  EXPECT_THAT(RefusalOf(OptionsFor(open)), HasSubstr("redis.port"));
}

TEST_F(RedisServers, AUserWithoutAPermissionIsToldWhichOneIsMissing) {
  RedisServer server;
  RedisQueueOptions options = OptionsFor(server);
  options.prefix = "ms:";
  options.server.user = "worker";
  options.server.password = "secret";
  const auto allow = [&](const std::vector<std::string>& rules) {
    std::vector<std::string> words{"ACL", "SETUSER", "worker", "reset", "on", ">secret"};
    words.insert(words.end(), rules.begin(), rules.end());
    EXPECT_EQ(server.Call(words), "OK");
  };
  allow({"~ms:*", "&ms:*", "+@all", "-function"});
  EXPECT_THAT(RefusalOf(options), testing::AllOf(HasSubstr("user worker may not"),
                                                 HasSubstr("function"), HasSubstr("redis.user")));
  allow({"~other:*", "&ms:*", "+@all"});
  EXPECT_THAT(RefusalOf(options), testing::AllOf(HasSubstr("user worker may not"), HasSubstr("key"),
                                                 HasSubstr("redis.user")));
  // What the functions do themselves is found out at the start, not in the middle of the work.
  const std::vector<std::string> enough{"~ms:*",        "&ms:*",  "-@all",     "+@read", "+@write",
                                        "+@connection", "+fcall", "+function", "+info",  "+time"};
  for (const std::string missing : {"spublish", "pubsub|shardnumsub"}) {
    std::vector<std::string> rules = enough;
    rules.insert(rules.end(), {"+@pubsub", "-" + missing});
    allow(rules);
    EXPECT_THAT(RefusalOf(options), HasSubstr(missing));
  }
  // What docs/formats.md lists is enough.
  allow({"~ms:*", "&ms:*", "-@all", "+@read", "+@write", "+@connection", "+@pubsub", "+fcall",
         "+function", "+info", "+time"});
  const std::shared_ptr<TaskQueue> queue = Open(options);
  ASSERT_NE(queue, nullptr);
  Worker worker(queue);
  const auto id = queue->Enqueue(MakeTask());
  ASSERT_TRUE(id.ok()) << id.message();
  EXPECT_EQ(queue->Await(*id, kDeadline, {})->status, Status::kFinished);
  // Nor does it need the PING that makes Redis answer others first.
  allow({"~ms:*", "&ms:*", "+@all", "-ping"});
  const auto awaited = queue->EnqueueAndAwait(MakeTask(), kDeadline, {});
  ASSERT_TRUE(awaited.ok()) << awaited.message();
  EXPECT_EQ(awaited->status, Status::kFinished);
  // One that loses a right while it works.
  allow({"~ms:*", "&ms:*", "+@all", "-fcall"});
  const auto refused = queue->Enqueue(MakeTask());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.code(), Code::kPermission);
  EXPECT_THAT(refused.message(), testing::AllOf(HasSubstr("redis 127.0.0.1:"), HasSubstr("fcall")));
}

// Answers every connection with these words and closes it; with none, keeps silent.
class Stranger {
 public:
  explicit Stranger(std::string words) : words_(std::move(words)) {
    socket_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 8), 0);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] {
      while (true) {
        Fd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection.valid()) return;
        (void)WriteAll(connection.get(), words_);
        if (words_.empty()) held_.push_back(std::move(connection));
      }
    });
  }
  ~Stranger() { shutdown(socket_.get(), SHUT_RDWR); }
  int port() const { return port_; }

 private:
  const std::string words_;
  Fd socket_;
  int port_ = 0;
  std::vector<Fd> held_;  // of the thread
  std::jthread thread_;
};

// Accepts one connection and reads nothing of it until it is asked to.
class Deaf {
 public:
  Deaf() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    const int small = 4096;
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 1), 0);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  int port() const { return port_; }
  // Everything that still comes; how many bytes, and the error at the end (0: a regular end).
  std::pair<size_t, int> ReadAll() {
    const Fd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::string buffer(1 << 16, '\0');
    for (size_t bytes = 0;;) {
      const ssize_t got = read(connection.get(), buffer.data(), buffer.size());
      if (got <= 0) return {bytes, got == 0 ? 0 : errno};
      bytes += static_cast<size_t>(got);
    }
  }

 private:
  const Fd socket_;
  int port_ = 0;
};

TEST_F(RedisServers, CommandThatWasGivenUpIsNotSentLater) {
  Deaf server;
  storage::RedisOptions options;
  options.port = server.port();
  options.command_timeout = Milliseconds(200);
  const auto redis = storage::Redis::Make(options);
  ASSERT_TRUE(redis.ok());
  const std::string value(1 << 20, 'x');
  const auto answer = (*redis)->Call(storage::RedisCommand("SET").Add("key").Add(value));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.code(), Code::kUnavailable);
  const auto [bytes, error] = server.ReadAll();
  EXPECT_LT(bytes, value.size());
  EXPECT_EQ(error, ECONNRESET);
}

TEST_F(RedisServers, WhatIsNoRedisIsToldFromOneThatIsAway) {
  RedisQueueOptions options;
  const Stranger web("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  options.server.port = web.port();
  EXPECT_THAT(RefusalOf(options),
              testing::AllOf(HasSubstr("another protocol than Redis's"), HasSubstr("redis.port")));
  EXPECT_EQ(OpenRedisQueue(options).code(), Code::kInvalid);
  options.server.tls = true;
  EXPECT_THAT(RefusalOf(options), HasSubstr("does not speak TLS on this port (redis.tls"));
  options.server.tls = false;
  const Stranger silent("");
  options.server.port = silent.port();
  options.server.connect_timeout = Milliseconds(300);
  EXPECT_THAT(RefusalOf(options), HasSubstr("hangs, or is no Redis (redis.host, redis.port)"));
  EXPECT_EQ(OpenRedisQueue(options).code(), Code::kUnavailable);
}

TEST_F(RedisServers, DatabaseNumberKeepsSystemsApart) {
  RedisServer server;
  RedisQueueOptions options = OptionsFor(server);
  const auto first = Open(options);
  options.server.db = 3;
  const auto second = Open(options);
  ASSERT_TRUE(first->Enqueue(MakeTask()).ok());
  EXPECT_THAT(*second->TakeLeases(Request()), IsEmpty());
  EXPECT_NE(*first->StateId(), *second->StateId());
}

TEST_F(RedisServers, TlsWithUserAndPassword) {
  const TemporaryDirectory keys;
  const std::string at = keys.path() + "/";
  const std::string make =
      "cd " + at +
      " && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2"
      " -subj /CN=test-authority >/dev/null 2>&1 &&"
      " openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost"
      " >/dev/null 2>&1 && printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > ext &&"
      " openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2"
      " -extfile ext -out server.crt >/dev/null 2>&1";
  ASSERT_EQ(std::system(make.c_str()), 0);
  RedisServer server({"--port",
                      "0",
                      "--tls-port",
                      "%PORT%",
                      "--tls-cert-file",
                      at + "server.crt",
                      "--tls-key-file",
                      at + "server.key",
                      "--tls-ca-cert-file",
                      at + "ca.crt",
                      "--tls-auth-clients",
                      "no",
                      "--user",
                      "default",
                      "off",
                      "--user",
                      "worker",
                      "on",
                      ">secret",
                      "~*",
                      "&*",
                      "+@all"});
  RedisQueueOptions options = OptionsFor(server);
  options.server.tls = true;
  options.server.ca_file = at + "ca.crt";
  options.server.user = "worker";
  options.server.password = "secret";
  const std::shared_ptr<TaskQueue> queue = Open(options);
  ASSERT_NE(queue, nullptr);
  Worker worker(queue);
  for (int i = 0; i < 20; ++i) {
    const auto id = queue->Enqueue(MakeTask());
    ASSERT_TRUE(id.ok()) << id.message();
    EXPECT_EQ(queue->Await(*id, kDeadline, {})->status, Status::kFinished);
  }
  NewTask large = MakeTask();
  large.payload = {{"text", std::string(200000, 'x')}};
  EXPECT_EQ(queue->Await(*queue->Enqueue(large), kDeadline, {})->payload, large.payload);

  options.server.ca_file = "";  // the system doesn't know our authority
  const auto distrusted = OpenRedisQueue(options);
  ASSERT_FALSE(distrusted.ok());
  EXPECT_THAT(distrusted.message(), HasSubstr("certificate"));
  EXPECT_THAT(distrusted.message(), HasSubstr("redis.ca_file"));
  options.server.tls = false;
  EXPECT_THAT(RefusalOf(options), HasSubstr("does it speak TLS (redis.tls)"));
  RedisServer plain;
  options.server.tls = true;
  options.server.port = plain.port();
  EXPECT_THAT(RefusalOf(options), HasSubstr("speak TLS on this port (redis.tls"));
  RedisServer strict({"--port", "0", "--tls-port", "%PORT%", "--tls-cert-file", at + "server.crt",
                      "--tls-key-file", at + "server.key", "--tls-ca-cert-file", at + "ca.crt"});
  options.server.port = strict.port();
  options.server.ca_file = at + "ca.crt";
  EXPECT_THAT(RefusalOf(options), HasSubstr("redis.certificate_file"));
  options.server.port = server.port();
  options.server.ca_file = at + "ca.crt";
  options.server.user = "default";
  EXPECT_EQ(OpenRedisQueue(options).code(), Code::kPermission);
}

TEST_F(RedisServers, SentinelsNameTheMasterBeforeAndAfterAFailOver) {
  auto master = std::make_unique<RedisServer>();
  RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(master->port())});
  ASSERT_TRUE(Eventually([&] {
    return replica.Call({"INFO", "replication"}).find("master_link_status:up") != std::string::npos;
  }));
  RedisServer sentinel(
      {"sentinel", "sentinel monitor mymaster 127.0.0.1 " + std::to_string(master->port()) + " 1",
       "sentinel down-after-milliseconds mymaster 500", "sentinel failover-timeout mymaster 3000"});
  ASSERT_TRUE(Eventually([&] {
    return sentinel.Call({"SENTINEL", "replicas", "mymaster"})
               .find(std::to_string(replica.port())) != std::string::npos;
  }));
  RedisQueueOptions options;
  options.server.host = "";
  options.server.sentinels = "127.0.0.1:" + std::to_string(sentinel.port());
  const std::shared_ptr<TaskQueue> queue = Open(options);
  ASSERT_NE(queue, nullptr);
  const TaskId before = *queue->Enqueue(MakeTask());
  const std::string state = *queue->StateId();
  ASSERT_TRUE(Eventually([&] {
    return replica.Call({"EXISTS", "task:" + before + ":status"}) == "1";
  }));
  master->Kill();
  Worker worker(queue);
  ASSERT_TRUE(Eventually([&] {
    const auto task = queue->Get(before);
    return task.ok() && task->status == Status::kFinished;
  }));
  EXPECT_EQ(*queue->StateId(), state);
}

// Three nodes, and the slot of "{msearch}:" on its way from one to another.
class Cluster {
 public:
  Cluster() {
    for (int i = 0; i < 3; ++i) {
      nodes_.push_back(std::make_unique<RedisServer>(std::vector<std::string>{
          "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port",
          std::to_string(test::FreePort()), "--cluster-config-file", "nodes.conf"}));
    }
    std::string addresses;
    for (const auto& node : nodes_) {
      addresses += " 127.0.0.1:" + std::to_string(node->port());
      hosts_ += (hosts_.empty() ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(node->port());
    }
    const std::string create =
        "redis-cli --cluster create" + addresses + " --cluster-yes >/dev/null 2>&1";
    EXPECT_EQ(std::system(create.c_str()), 0);
    for (const auto& node : nodes_) {
      EXPECT_TRUE(Eventually([&] {
        return node->Call({"CLUSTER", "INFO"}).find("cluster_state:ok") != std::string::npos;
      }));
    }
  }
  const std::string& hosts() const { return hosts_; }

  // As `redis-cli --cluster reshard` does it.
  void BeginMove() {
    slot_ = nodes_[0]->Call({"CLUSTER", "KEYSLOT", "{msearch}:queue:meta"});
    from_ = std::find_if(nodes_.begin(), nodes_.end(), [](const auto& node) {
              return node->Call({"EXISTS", "{msearch}:queue:meta"}) == "1";
            })->get();
    to_ = from_ == nodes_[0].get() ? nodes_[1].get() : nodes_[0].get();
    to_->Call({"CLUSTER", "SETSLOT", slot_, "IMPORTING", from_->Call({"CLUSTER", "MYID"})});
    from_->Call({"CLUSTER", "SETSLOT", slot_, "MIGRATING", to_->Call({"CLUSTER", "MYID"})});
  }
  // The keys that there are, or these only.
  void MoveKeys(std::vector<std::string> keys = {}) {
    const bool all = keys.empty();
    do {
      std::vector<std::string> migrate{"MIGRATE", "127.0.0.1", std::to_string(to_->port()), "", "0",
                                       "5000",    "KEYS"};
      if (all) {
        const std::string there = from_->Call({"CLUSTER", "GETKEYSINSLOT", slot_, "100"});
        keys.clear();
        for (const std::string_view key : Split(there, '\n')) {
          if (!key.empty()) keys.emplace_back(key);
        }
        if (keys.empty()) break;
      }
      migrate.insert(migrate.end(), keys.begin(), keys.end());
      from_->Call(migrate);
    } while (all);
  }
  void EndMove() {
    const std::string to_id = to_->Call({"CLUSTER", "MYID"});
    for (const auto& node : nodes_) node->Call({"CLUSTER", "SETSLOT", slot_, "NODE", to_id});
    EXPECT_TRUE(Eventually([&] { return to_->Call({"EXISTS", "{msearch}:queue:meta"}) == "1"; }));
  }

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
  std::string hosts_;
  std::string slot_;
  RedisServer* from_ = nullptr;
  RedisServer* to_ = nullptr;
};

TEST_F(RedisServers, ClusterKeepsTheQueueInOneSlotAndIsFollowedWhenItMoves) {
  Cluster cluster;
  RedisQueueOptions options;
  options.server.host = cluster.hosts();
  const auto untagged = OpenRedisQueue(options);
  ASSERT_FALSE(untagged.ok());
  EXPECT_EQ(untagged.code(), Code::kInvalid);
  EXPECT_THAT(untagged.message(), HasSubstr("set redis.prefix to a hash tag"));
  options.prefix = "{msearch}:";
  const std::shared_ptr<TaskQueue> queue = Open(options);
  ASSERT_NE(queue, nullptr);
  std::vector<TaskId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(*queue->Enqueue(MakeTask()));

  Worker worker(queue);
  // While work goes on.
  cluster.BeginMove();
  cluster.MoveKeys();
  cluster.EndMove();
  Result<TaskId> last = queue->Enqueue(MakeTask());
  ASSERT_TRUE(Eventually([&] {
    if (!last.ok()) last = queue->Enqueue(MakeTask());
    return last.ok();
  }));
  ids.push_back(*last);
  for (const TaskId& id : ids) {
    EXPECT_TRUE(Eventually([&] {
      const auto task = queue->Get(id);
      return task.ok() && task->status == Status::kFinished;
    })) << id;
  }
}

TEST_F(RedisServers, QueueWhoseSlotIsOnItsWayDoesNothingByHalves) {
  Cluster cluster;
  RedisQueueOptions options;
  options.server.host = cluster.hosts();
  options.prefix = "{msearch}:";
  const std::shared_ptr<TaskQueue> queue = Open(options);
  ASSERT_NE(queue, nullptr);
  NewTask first = MakeTask();
  first.unique_key = "file 1";
  const TaskId id = *queue->Enqueue(first);
  const auto leases = queue->TakeLeases(Request());
  ASSERT_TRUE(leases.ok()) << leases.message();
  NewTask next = MakeTask();
  next.queue = "embed";
  next.unique_key = "file 1";
  queue::Completion completion{leases->at(0), Json::object(), {next}};

  // Whether the key that decides where calls go has been moved or not.
  for (const bool with_meta : {false, true}) {
    cluster.BeginMove();
    if (with_meta) cluster.MoveKeys({"{msearch}:queue:meta"});
    const auto told = queue->Complete(std::span(&completion, 1));
    ASSERT_FALSE(told.ok()) << with_meta;
    EXPECT_EQ(told.code(), Code::kUnavailable) << told.message();
    EXPECT_THAT(told.message(), HasSubstr("on the way to another node"));
    EXPECT_EQ(queue->Enqueue(MakeTask()).code(), Code::kUnavailable);
    cluster.MoveKeys();
    cluster.EndMove();
    ASSERT_TRUE(Eventually([&] { return queue->Get(id).ok(); }));
    EXPECT_EQ(queue->Get(id)->status, Status::kStarted);
  }
  const auto told = queue->Complete(std::span(&completion, 1));
  ASSERT_TRUE(told.ok()) << told.message();
  ASSERT_TRUE(told->at(0).ok()) << told->at(0).message();
  EXPECT_EQ(queue->Get(id)->status, Status::kFinished);
  TaskFilter follow_ups;
  follow_ups.queue = "embed";
  EXPECT_EQ(queue->Count(follow_ups).value_or(0), 1);
}

TEST_F(RedisServers, PoisonTaskStopsAfterTwoCrashes) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  NewTask task = MakeTask();
  task.retry.backoff_first = Milliseconds(1);
  const TaskId id = *queue->Enqueue(task);
  int attempts = 0;
  while (queue->Get(id)->status == Status::kQueued) {
    const auto leases = queue->TakeLeases(Request(1, kDeadline));
    ASSERT_THAT(*leases, SizeIs(1));
    ASSERT_TRUE(queue->Fail({(*leases)[0], {Code::kCrashed, "codec child: died"}}).ok());
    ++attempts;
  }
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(queue->Get(id)->reason, "quarantined");
}

TEST_F(RedisServers, TaskLongerThanItsLeaseIsNotRunTwiceWhileItsWorkerLives) {
  RedisServer server;
  const std::shared_ptr<TaskQueue> queue = Open(OptionsFor(server));
  std::atomic<int> runs{0};
  std::atomic<bool> done{false};
  WorkerOptions options;
  options.info.id = "host:1:worker:0";
  options.queues = {"tasks"};
  options.lease_duration = Milliseconds(150);
  options.handlers["work"] = [&](std::span<const std::unique_ptr<TaskContext>> tasks) {
    ++runs;
    while (!done) std::this_thread::sleep_for(Milliseconds(5));
    return std::vector<Outcome>(tasks.size());
  };
  std::jthread worker(
      [&](const std::stop_token& stop) { RunWorker(*queue, options, stop, kForever); });
  const TaskId id = *queue->Enqueue(MakeTask());
  ASSERT_TRUE(Eventually([&] { return runs == 1; }));
  const UnixMs first = *queue->Get(id)->lease_until;
  // Beyond several lengths of its lease, while another asks for it all the time.
  while (*queue->Get(id)->lease_until < first + 1000) {
    const auto leases = queue->TakeLeases(Request(1, Milliseconds(20)));
    ASSERT_TRUE(leases.ok());
    ASSERT_THAT(*leases, IsEmpty());
    ASSERT_EQ(queue->Get(id)->status, Status::kStarted);
  }
  done = true;
  EXPECT_EQ(queue->Await(id, kDeadline, {})->status, Status::kFinished);
  EXPECT_EQ(runs, 1);
}

TEST_F(RedisServers, LongQueuesKeepTheirOrderAndCountsWhenTasksLeaveOutOfTurn) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const std::vector<NewTask> many(5000, MakeTask());
  const auto ids = *queue->Enqueue(many);
  for (const size_t place : {0U, 2400U, 2500U, 4999U}) {
    ASSERT_TRUE(queue->Cancel(ids[place]).ok());
  }
  ASSERT_TRUE(queue->Retry(ids[2500]).ok());
  NewTask urgent = MakeTask();
  urgent.priority = Priority::kHigh;
  const TaskId first = *queue->Enqueue(urgent);
  EXPECT_EQ(queue->TakeLeases(Request())->at(0).task.id, first);
  EXPECT_EQ(queue->TakeLeases(Request())->at(0).task.id, ids[2500]);
  const auto queued = [&] { return queue->Stats()->at(0).queued; };
  EXPECT_EQ(queued(), 4996);
  size_t at = 1;
  while (true) {
    const auto leases = queue->TakeLeases(Request(300));
    ASSERT_TRUE(leases.ok());
    if (leases->empty()) break;
    for (const Lease& lease : *leases) {
      while (at == 2400 || at == 2500) ++at;
      ASSERT_EQ(lease.task.id, ids[at++]);
    }
  }
  EXPECT_EQ(at, 4999U);
  EXPECT_EQ(queued(), 0);
  EXPECT_EQ(server.Call({"LLEN", "queue:tasks:pending"}), "0");
  EXPECT_EQ(server.Call({"HGET", "queue:tasks:stats", "ghosts_ready"}), "0");
}

// What a person sees in `INFO commandstats`, in calls.
int64_t Calls(const RedisServer& server) {
  const std::string info = server.Call({"INFO", "stats"});
  const std::string key = "total_commands_processed:";
  return std::stoll(info.substr(info.find(key) + key.size()));
}

TEST_F(RedisServers, WorkerThatAsksEverySecondAsksTheServerOnce) {
  RedisServer server;
  RedisQueueOptions options = OptionsFor(server);
  options.look_every = kForever;
  const auto queue = Open(options);
  EXPECT_THAT(*queue->TakeLeases(Request(1, Milliseconds(1))), IsEmpty());
  const int64_t before = Calls(server);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(*queue->TakeLeases(Request(1, Milliseconds(1))), IsEmpty());
  }
  EXPECT_EQ(Calls(server) - before, 1) << "the look at the statistics itself";
  const TaskId id = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->TakeLeases(Request(1, kForever))->at(0).task.id, id);
}

// A worker that stays, parked: it found nothing within a moment.
LeaseRequest Stay(TaskQueue& queue, const std::string& worker = "worker-1") {
  LeaseRequest request = Request(1, Milliseconds(1));
  request.worker = worker;
  request.stays = true;
  EXPECT_TRUE(Eventually([&] {
    const auto leases = queue.TakeLeases(request);
    return leases.ok() && leases->empty();
  }));
  request.wait_max = kForever;
  return request;
}

TEST_F(RedisServers, WorkerThatStaysIsGivenItsTaskByWhoeverAddsIt) {
  RedisServer server;
  RedisQueueOptions options = OptionsFor(server);
  options.look_every = kForever;
  const auto queue = Open(options);
  const LeaseRequest request = Stay(*queue);
  const TaskId id = *queue->Enqueue(MakeTask());
  EXPECT_EQ(server.Call({"HGET", "task:" + id + ":status", "status"}), "started");
  EXPECT_EQ(server.Call({"LLEN", "queue:tasks:pending"}), "0");
  EXPECT_EQ(server.Call({"SMEMBERS", "queue:tasks:processing"}), id + "\n");
  const int64_t before = Calls(server);
  const auto leases = queue->TakeLeases(request);
  ASSERT_THAT(*leases, SizeIs(1));
  EXPECT_EQ(Calls(server) - before, 1) << "the look at the statistics itself";
  EXPECT_EQ(leases->at(0).task.id, id);
  EXPECT_EQ(queue->Get(id)->worker, "worker-1");
  // Completing the last of what it had makes it ready for the next one.
  ASSERT_TRUE(Finish(*queue, leases->at(0)).ok());
  const TaskId next = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Get(next)->status, Status::kStarted);
  EXPECT_EQ(queue->TakeLeases(request)->at(0).task.id, next);
}

TEST_F(RedisServers, WorkerWithWorkIsGivenNoMore) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  LeaseRequest request = Stay(*queue);
  const TaskId first = *queue->Enqueue(MakeTask());
  const auto leases = queue->TakeLeases(request);
  const TaskId second = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Get(second)->status, Status::kQueued);
  ASSERT_TRUE(Finish(*queue, leases->at(0)).ok());
  EXPECT_EQ(queue->Get(second)->status, Status::kQueued)
      << "it has to ask, for others may be first";
  EXPECT_EQ(queue->TakeLeases(request)->at(0).task.id, second);
}

TEST_F(RedisServers, TaskIsNotGivenToAWorkerThatIsGone) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  auto gone = Open(OptionsFor(server));
  Stay(*gone, "gone");
  gone.reset();
  // The server learns of it when it next looks at its connections.
  ASSERT_TRUE(Eventually([&] { return server.Call({"PUBSUB", "SHARDCHANNELS"}).empty(); }));
  const TaskId id = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Get(id)->status, Status::kQueued);
  EXPECT_EQ(queue->TakeLeases(Request())->at(0).task.id, id);
}

TEST_F(RedisServers, WorkerThatStepsBackGivesBackWhatItWasGiven) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  Stay(*queue);
  const TaskId given = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Get(given)->status, Status::kStarted);
  ASSERT_TRUE(queue->StepBack("worker-1").ok());
  EXPECT_EQ(queue->Get(given)->status, Status::kQueued);
  EXPECT_EQ(queue->Get(given)->attempts, 0);
  const TaskId next = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Get(next)->status, Status::kQueued);
  EXPECT_EQ(queue->TakeLeases(Request())->at(0).task.id, given);
}

TEST_F(RedisServers, WorkerThatFellSilentIsToldButGivenNothing) {
  RedisServer server;
  test::ManualClock clock;
  RedisQueueOptions options = OptionsFor(server);
  options.clock = &clock;
  const auto queue = Open(options);
  const LeaseRequest request = Stay(*queue);
  clock.Advance(options.look_every + Milliseconds(10000));
  const TaskId id = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Get(id)->status, Status::kQueued);
  EXPECT_EQ(queue->TakeLeases(request)->at(0).task.id, id);
}

TEST_F(RedisServers, PausedQueueGivesNothingUntilItGoesOn) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const LeaseRequest request = Stay(*queue);
  ASSERT_TRUE(queue->Pause("tasks").ok());
  const TaskId id = *queue->Enqueue(MakeTask());
  EXPECT_EQ(queue->Get(id)->status, Status::kQueued);
  ASSERT_TRUE(queue->Resume("tasks").ok());
  EXPECT_EQ(queue->Get(id)->status, Status::kStarted);
  EXPECT_EQ(queue->TakeLeases(request)->at(0).task.id, id);
}

TEST_F(RedisServers, ManyTasksAtOnceGoToAllWhoStayInTurnOfPriority) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const LeaseRequest first = Stay(*queue, "first");
  const LeaseRequest second = Stay(*queue, "second");
  std::vector<NewTask> tasks(4, MakeTask());
  tasks[3].priority = Priority::kHigh;
  const auto ids = *queue->Enqueue(tasks);
  EXPECT_EQ(queue->Get(ids[3])->status, Status::kStarted);
  EXPECT_EQ(queue->Get(ids[0])->status, Status::kStarted);
  EXPECT_EQ(queue->Get(ids[1])->status, Status::kQueued);
  const TaskId one = queue->TakeLeases(first)->at(0).task.id;
  const TaskId other = queue->TakeLeases(second)->at(0).task.id;
  EXPECT_THAT((std::vector{one, other}), testing::UnorderedElementsAre(ids[3], ids[0]));
}

TEST_F(RedisServers, RemovalKeepsUpWithWhatEnds) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const std::vector<NewTask> tasks(12000, MakeTask());
  ASSERT_TRUE(queue->Enqueue(tasks).ok());
  while (true) {
    const auto leases = *queue->TakeLeases(Request(1000));
    if (leases.empty()) break;
    std::vector<Completion> done;
    for (const Lease& lease : leases) done.push_back({lease, Json::object(), {}});
    ASSERT_TRUE(queue->Complete(done).ok());
  }
  Retention retention;
  retention.rows_max = 100;
  // More than the bound of one call on steps, which would fall behind a busy queue.
  ASSERT_TRUE(Eventually(
      [&] { return queue->Maintain(retention).ok() && queue->Stats()->at(0).finished == 100; }));
  EXPECT_EQ(queue->Stats()->at(0).finished_total, 12000);
  EXPECT_EQ(server.Call({"LLEN", "queue:tasks:completed"}), "100");
  EXPECT_LT(std::stoll(server.Call({"DBSIZE"})), 320);
}

TEST_F(RedisServers, PlaceInALongQueueIsCountedWithoutListingIt) {
  RedisServer server;
  const auto queue = Open(OptionsFor(server));
  const std::vector<NewTask> many(5000, MakeTask());
  const auto ids = *queue->Enqueue(many);
  NewTask urgent = MakeTask();
  urgent.priority = Priority::kHigh;
  ASSERT_TRUE(queue->Enqueue(urgent).ok());
  EXPECT_EQ(queue->CountAhead(ids[0]).value_or(-1), 1);
  EXPECT_EQ(queue->CountAhead(ids[4321]).value_or(-1), 4322);
  const int64_t before = Calls(server);
  EXPECT_EQ(queue->CountAhead(ids[4999]).value_or(-1), 5000);
  EXPECT_LT(Calls(server) - before, 50);
  ASSERT_TRUE(queue->TakeLeases(Request(2)).ok());
  EXPECT_EQ(queue->CountAhead(ids[4321]).value_or(-1), 4320);
  EXPECT_EQ(queue->CountAhead(ids[0]).value_or(-1), 0);
}

}  // namespace
}  // namespace msearch::queue
