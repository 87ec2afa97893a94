// Python programs with a real Celery, answered by the gateway.
#include "celery/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "support/eventually.h"
#include "support/redis_server.h"

namespace msearch::celery {
namespace {

using test::Eventually;
using test::RedisServer;
using testing::HasSubstr;

constexpr const char* kProgram = R"py(
import sys, time
from celery import Celery
from celery.exceptions import NotRegistered, TaskRevokedError

url = "redis://127.0.0.1:%s/0" % sys.argv[1]
app = Celery("worker", broker=url, backend=url)

@app.task(bind=True, max_retries=3, name="worker.generate_embeddings_task")
def generate_embeddings_task(self, img_data_b64):
    raise AssertionError("is run elsewhere")

@app.task(name="worker.other")
def other():
    raise AssertionError("is run elsewhere")

def attempt(name, future):
    try:
        print(name, future.get(timeout=120))
    except Exception as fault:
        print(name, type(fault).__name__, fault)

futures = [generate_embeddings_task.delay("aGVs" * (i + 1)) for i in range(20)]
print("all", [future.get(timeout=120) for future in futures] == [[float(3 * (i + 1)), 0.5] for i in range(20)])
attempt("by name", generate_embeddings_task.delay(img_data_b64="aGk="))
attempt("faulty", generate_embeddings_task.delay("no base64!"))
attempt("unknown", other.delay())
attempt("late", generate_embeddings_task.apply_async(["aGk="], expires=-5))
attempt("later", generate_embeddings_task.apply_async(["aGk="], countdown=5))
)py";

// Length of the bytes and 0.5.
Result<Json> Embed(const Call& call, const std::stop_token&) {
  const Json& text = call.args.empty() ? call.kwargs.at("img_data_b64") : call.args.at(0);
  const auto bytes = Base64Decode(text.get<std::string>());
  if (!bytes) return Error{Code::kInvalid, "picture: no base64"};
  return Json{static_cast<double>(bytes->size()), 0.5};
}

std::string Sent(const std::string& id) {
  return DumpJson({{"body", Base64Encode(R"([["aGVsbG8="], {}, {}])")},
                   {"content-type", "application/json"},
                   {"headers", {{"id", id}, {"task", "worker.generate_embeddings_task"}}},
                   {"properties", {{"body_encoding", "base64"}}}});
}

class CeleryGateway : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
    server_ = std::make_unique<RedisServer>(std::vector<std::string>{"--appendonly", "yes"});
    options_.server.port = server_->port();
    options_.name = "library";
  }
  std::unique_ptr<Gateway> Open(Handler handler = Embed) {
    auto gateway = Gateway::Start(options_, {{"generate_embeddings_task", std::move(handler)}});
    EXPECT_TRUE(gateway.ok()) << gateway.message();
    return gateway.ok() ? *std::move(gateway) : nullptr;
  }
  bool Succeeds(const std::string& id) {
    return Eventually([&] {
      return server_->Call({"GET", "celery-task-meta-" + id}).find("\"SUCCESS\"") !=
             std::string::npos;
    });
  }
  void ExpectNothingLeft() {
    EXPECT_TRUE(Eventually([&] {
      return server_->Call({"EXISTS", "celery:taken:library"}) == "0";
    }));
    EXPECT_EQ(server_->Call({"LLEN", "celery"}), "0");
  }

  std::unique_ptr<RedisServer> server_;
  GatewayOptions options_;
};

TEST_F(CeleryGateway, PythonProgramsGetResultsAndExceptions) {
  if (std::system("/usr/bin/python3 -c 'import celery, redis' 2>/dev/null") != 0) {
    GTEST_SKIP() << "no python3-celery or python3-redis on this machine";
  }
  const auto gateway = Open();
  const TemporaryDirectory directory;
  const std::string program = directory.path() + "/program.py";
  const std::string out = directory.path() + "/out";
  ASSERT_TRUE(WriteFileAtomically(program, kProgram).ok());
  const std::string command =
      "/usr/bin/python3 " + program + " " + std::to_string(server_->port()) + " >" + out + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  const std::string said = ReadFile(out).value_or("");
  EXPECT_THAT(said, HasSubstr("all True"));
  EXPECT_THAT(said, HasSubstr("by name [2.0, 0.5]"));
  EXPECT_THAT(said, HasSubstr("faulty ValueError picture: no base64"));
  EXPECT_THAT(said, HasSubstr("unknown NotRegistered"));
  EXPECT_THAT(said, HasSubstr("late TaskRevokedError expired"));
  EXPECT_THAT(said, HasSubstr("later ValueError celery message: a time to start at"));
  ExpectNothingLeft();
  EXPECT_EQ(server_->Call({"LLEN", "celery"}), "0");
}

TEST_F(CeleryGateway, WhatACrashLeftIsAnsweredAfterTheNextStart) {
  server_->Call({"LPUSH", "celery:taken:library", Sent("a"), Sent("b")});
  const auto gateway = Open();
  EXPECT_TRUE(Succeeds("a"));
  EXPECT_TRUE(Succeeds("b"));
  EXPECT_NE(server_->Call({"PTTL", "celery-task-meta-a"}), "-1");
  ExpectNothingLeft();
}

TEST_F(CeleryGateway, NothingIsTakenUntilItIsReady) {
  std::atomic<bool> ready = false;
  options_.ready = [&] { return ready.load(); };
  server_->Call({"LPUSH", "celery", Sent("a")});
  const auto gateway = Open();
  std::this_thread::sleep_for(Milliseconds(50));
  EXPECT_EQ(server_->Call({"LLEN", "celery"}), "1");
  ready = true;
  EXPECT_TRUE(Succeeds("a"));
}

TEST_F(CeleryGateway, ResultsWaitForARedisThatIsAway) {
  std::atomic<int> begun = 0;
  std::atomic<bool> go_on = false;
  const auto gateway = Open([&](const Call& call, const std::stop_token& stop) {
    ++begun;
    Eventually([&] { return go_on.load(); });
    return Embed(call, stop);
  });
  server_->Call({"LPUSH", "celery", Sent("a"), Sent("b")});
  ASSERT_TRUE(Eventually([&] { return begun == 2; }));
  server_->Kill();
  go_on = true;
  server_->Restart();
  EXPECT_TRUE(Succeeds("a"));
  EXPECT_TRUE(Succeeds("b"));
  server_->Call({"LPUSH", "celery", Sent("c")});
  EXPECT_TRUE(Succeeds("c"));
  ExpectNothingLeft();
  EXPECT_EQ(begun, 3) << "each was worked on once";
}

TEST_F(CeleryGateway, WhatIsGivenUpAtAStopIsAnsweredByTheNextRun) {
  std::atomic<bool> begun = false;
  auto gateway = Open([&](const Call&, const std::stop_token& stop) -> Result<Json> {
    begun = true;
    Eventually([&] { return stop.stop_requested(); });
    return Error{Code::kTimeout, "picture: not done in time"};
  });
  server_->Call({"LPUSH", "celery", Sent("a")});
  ASSERT_TRUE(Eventually([&] { return begun.load(); }));
  gateway.reset();
  EXPECT_EQ(server_->Call({"LLEN", "celery:taken:library"}), "1");
  gateway = Open();
  EXPECT_TRUE(Succeeds("a"));
  ExpectNothingLeft();
}

TEST_F(CeleryGateway, AMessageThatIsTooLargeOrNoneIsTakenOut) {
  options_.message_bytes_max = 1000;
  Json large = *ParseJson(Sent("large"));
  large["padding"] = std::string(1000, 'x');
  server_->Call({"LPUSH", "celery", DumpJson(large), "no message", Sent("a")});
  const auto gateway = Open();
  EXPECT_TRUE(Succeeds("a"));
  ExpectNothingLeft();
  EXPECT_THAT(server_->Call({"GET", "celery-task-meta-large"}),
              testing::AllOf(HasSubstr("FAILURE"), HasSubstr("more than 1000")));
}

}  // namespace
}  // namespace msearch::celery
