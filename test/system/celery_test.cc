// Python programs with a real Celery, answered by the real program and its workers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "base/strings.h"
#include "support/pictures.h"
#include "support/redis_server.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Sends the pictures that it finds in a folder, as the program of an index builder does, and
// prints the vectors by their names. "sent" comes once all are in Redis.
constexpr const char* kProgram = R"py(
import base64, json, os, sys
from celery import Celery

url = "redis://127.0.0.1:%s/0" % sys.argv[1]
app = Celery("worker", broker=url, backend=url)

@app.task(bind=True, max_retries=3, name="worker.generate_embeddings_task")
def generate_embeddings_task(self, img_data_b64):
    raise AssertionError("is run elsewhere")

futures = []
for name in sorted(os.listdir(sys.argv[2])):
    data = open(os.path.join(sys.argv[2], name), "rb").read()
    futures.append((name, generate_embeddings_task.delay(base64.b64encode(data).decode())))
open(sys.argv[3] + "/sent", "w").close()
answers = {}
for name, future in futures:
    try:
        answers[name] = future.get(timeout=120)
    except Exception as fault:
        answers[name] = type(fault).__name__ + ": " + str(fault)
json.dump(answers, open(sys.argv[3] + "/answers.part", "w"))
os.rename(sys.argv[3] + "/answers.part", sys.argv[3] + "/answers")
)py";

class Celery : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::Available() ||
        std::system("/usr/bin/python3 -c 'import celery, redis' 2>/dev/null") != 0) {
      GTEST_SKIP() << "no redis-server, python3-celery or python3-redis on this machine";
    }
    redis_ = std::make_unique<RedisServer>();
    Write("config.yml", fmt::format("redis:\n  port: {}\n  host: 127.0.0.1\n"
                                    "celery:\n  queue: celery\n",
                                    redis_->port()));
    Write("program.py", kProgram);
    fs::create_directories(folder_.path() + "/pictures");
  }
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_.path() + "/" + name, std::ios::binary) << bytes;
  }
  void WritePictures(int count) const {
    for (int i = 0; i < count; ++i) {
      const auto raster =
          Flat(64 + static_cast<uint32_t>(i), 64, {static_cast<uint8_t>(9 * i), 90, 200});
      Write("pictures/" + std::to_string(i) + ".png", Encoded(raster, "png"));
    }
  }
  std::string config() const { return folder_.path() + "/config.yml"; }
  bool Has(const std::string& name) const { return fs::exists(folder_.path() + "/" + name); }
  Background RunPython() const {
    return Background({"/usr/bin/python3", folder_.path() + "/program.py",
                       std::to_string(redis_->port()), folder_.path() + "/pictures",
                       folder_.path()});
  }
  Json Answers(const Background& program) const {
    EXPECT_TRUE(Eventually([&] { return Has("answers"); }, 150)) << program.log();
    return ParseJson(ReadFile(folder_.path() + "/answers").value_or("")).value_or(Json::object());
  }

  const TemporaryDirectory folder_;
  std::unique_ptr<RedisServer> redis_;
};

TEST_F(Celery, ItsProgramsGetTheVectorsThatTheApiGives) {
  WritePictures(5);
  Write("pictures/note.txt", "This is no picture.");
  Server server({"--config", config()});
  ASSERT_TRUE(server.Start()) << server.log();
  const Background program = RunPython();
  const Json answers = Answers(program);
  ASSERT_EQ(answers.size(), 6U) << answers;
  EXPECT_EQ(answers["note.txt"], "ValueError: picture: the model makes no vectors of it");

  fs::create_directories(server.files());
  fs::copy_file(folder_.path() + "/pictures/3.png", server.files() + "/3.png");
  server.AddRoot();
  const auto known =
      server.Post("/api/compute/feature_extraction", {{"image_path", server.files() + "/3.png"}});
  ASSERT_EQ(known.status, 200) << known.body;
  EXPECT_EQ(answers["3.png"], known.json["features"]);
  EXPECT_EQ(redis_->Call({"LLEN", "celery"}), "0");
  EXPECT_TRUE(Eventually([&] { return redis_->Call({"KEYS", "celery:taken:*"}).empty(); }));
}

TEST_F(Celery, TasksOutliveTheController) {
  WritePictures(20);
  Server server({"--config", config()});
  ASSERT_TRUE(server.Start()) << server.log();
  // They are taken, and get no further.
  server.Post("/api/queue/tasks/pause");
  const Background program = RunPython();
  ASSERT_TRUE(Eventually([&] { return Has("sent"); })) << program.log();
  ASSERT_TRUE(Eventually([&] { return !redis_->Call({"KEYS", "celery:taken:*"}).empty(); }));
  server.Kill(SIGKILL);
  ASSERT_TRUE(server.Start()) << server.log();
  server.Post("/api/queue/tasks/resume");
  const Json answers = Answers(program);
  ASSERT_EQ(answers.size(), 20U) << answers;
  for (const auto& [name, answer] : answers.items()) EXPECT_TRUE(answer.is_array()) << answer;
}

TEST_F(Celery, AStopDoesNotWaitForThem) {
  WritePictures(3);
  Server server({"--config", config()});
  ASSERT_TRUE(server.Start()) << server.log();
  server.Post("/api/queue/tasks/pause");
  const Background program = RunPython();
  ASSERT_TRUE(Eventually([&] { return !redis_->Call({"KEYS", "celery:taken:*"}).empty(); }));
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_THAT(server.log(), testing::Not(HasSubstr("SIGKILL")));
  ASSERT_TRUE(server.Start()) << server.log();
  server.Post("/api/queue/tasks/resume");
  EXPECT_EQ(Answers(program).size(), 3U);
}

TEST_F(Celery, AQueueWithoutARedisIsRefused) {
  Write("alone.yml", "celery:\n  queue: celery\n");
  Server server({"--config", folder_.path() + "/alone.yml"});
  EXPECT_FALSE(server.Start());
  EXPECT_THAT(server.log(), HasSubstr("celery.queue: wants the Redis server of redis.host"));
}

}  // namespace
}  // namespace msearch::test
