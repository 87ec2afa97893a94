// Everything at once: a good file of each format among hundreds that bite, indexed in one run by
// the real program. Nothing but codec children may die, all that is good is found by what is in it,
// and all that is bad is listed with a reason.

#include "support/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/strings.h"
#include "support/films.h"
#include "support/pictures.h"
#include "support/speech.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;

void Write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// More than a test needs: MSEARCH_CORPUS_FLIPS=1000.
int Flips() {
  const char* wanted = std::getenv("MSEARCH_CORPUS_FLIPS");
  return wanted != nullptr ? std::atoi(wanted) : 60;
}

std::map<std::string, std::string> FailuresByPath(const Server& server) {
  std::map<std::string, std::string> reasons;
  while (true) {
    const Json answer =
        server.Get("/api/failures?limit=1000&offset=" + std::to_string(reasons.size())).json;
    const Json failures = answer.value("failures", Json::array());
    for (const Json& failure : failures) {
      reasons[GetString(failure, "path").value_or("")] = GetString(failure, "message").value_or("");
    }
    if (failures.empty()) return reasons;
  }
}

// How often the supervisor had to start a role again; -1 when it doesn't say.
int64_t Restarts(const Server& server) {
  int64_t restarts = -1;
  const Json answer = server.Get("/api/workers").json;
  for (const Json& worker : answer.value("workers", Json::array())) {
    if (GetString(worker, "role") != "supervisor") continue;
    restarts = 0;
    for (const Json& role : worker.value("roles", Json::array())) {
      restarts += GetInt(role, "restarts").value_or(0);
    }
  }
  return restarts;
}

// Damaged copies are found by the same words.
std::vector<std::string> Find(const Server& server, const std::string& words) {
  std::vector<std::string> paths;
  const auto answer = server.Post("/api/search", {{"query", words}, {"limit", 100}});
  for (const Json& hit : answer.json.value("hits", Json::array())) {
    paths.push_back(GetString(hit, "path").value_or(""));
  }
  return paths;
}

std::string NearestTo(const Server& server, const std::string& picture) {
  const auto answer =
      server.Post("/api/search", {{"image", {{"base64", Base64Encode(picture)}}}, {"limit", 1}});
  const Json hits = answer.json.value("hits", Json::array());
  return hits.empty() ? answer.body : GetString(hits[0], "path").value_or("");
}

// Found by their names here; what is found in them, other tests say.
std::vector<CorpusFile> FilmsAndSounds() {
  const std::string scenes = Scenes({1, 1}, 160, 90) + " -c:v libx264 -preset ultrafast";
  const std::string tone = "-f lavfi -i sine=frequency=440:duration=2 ";
  std::vector<CorpusFile> files;
  auto add = [&](const std::string& name, const std::string& arguments, const std::string& format) {
    files.push_back({.path = "films/" + name + "." + format,
                     .bytes = MadeByFfmpeg(arguments, format),
                     .words = name});
  };
  add("zeppelin", scenes, "mp4");
  add("gondola", scenes, "mkv");
  add("marionette", Scenes({1, 1}, 160, 90, 5) + " -c:v libwebp_anim -loop 0", "webp");
  add("bassoon", tone, "flac");
  add("clarinet", tone, "mp3");
  add("oboe", tone, "wav");
  auto say = [&](const std::string& name, const std::string& voice, const std::string& text) {
    if (!CanSpeak(voice)) return;
    const TemporaryDirectory folder;
    SpeakInto(folder.path() + "/said.wav", voice, text);
    files.push_back({.path = "films/" + name + ".wav",
                     .bytes = ReadFile(folder.path() + "/said.wav").value_or(""),
                     .words = name});
  };
  say("parable", "espeak:en", "A sower went out to sow, and some seeds fell by the road.");
  say("proverb", "espeak:cmn", "图书馆里有一只青蛙");
  return files;
}

TEST(Corpus, OfEverythingIsIndexedWithoutHarm) {
  Server server;
  const std::vector<CorpusFile> corpus = MakeCorpus({.flips = Flips(), .more = FilmsAndSounds()});
  for (const CorpusFile& file : corpus) Write(server.files() + "/" + file.path, file.bytes);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  bool idle = false;
  for (int minutes = 0; minutes < 30 && !idle; minutes += 2) idle = server.AwaitIdle();
  ASSERT_TRUE(idle) << server.Get("/api/index/status").body;

  const Json status = server.Get("/api/index/status").json;
  EXPECT_EQ(GetInt(status, "files"), static_cast<int64_t>(corpus.size()));
  EXPECT_EQ(GetInt(status, "indexed").value_or(0) + GetInt(status, "failed").value_or(0),
            static_cast<int64_t>(corpus.size()));
  EXPECT_TRUE(Eventually([&] { return Restarts(server) >= 0; }));
  EXPECT_EQ(Restarts(server), 0) << server.log();

  const auto failures = FailuresByPath(server);
  for (const CorpusFile& file : corpus) {
    const auto failure = failures.find(file.path);
    const bool failed = failure != failures.end();
    EXPECT_TRUE(!failed || !failure->second.empty()) << file.path;
    EXPECT_TRUE(failed || !file.bad) << file.path;
    if (!file.picture && file.words.empty()) continue;
    EXPECT_FALSE(failed) << file.path << ": " << (failed ? failure->second : "");
    if (!file.words.empty()) {
      EXPECT_THAT(Find(server, file.words), testing::Contains(file.path)) << file.words;
    }
    // Copies with a few bits changed look the same.
    if (file.picture) {
      const std::string name = file.path.substr(file.path.rfind('/') + 1);
      EXPECT_THAT(NearestTo(server, file.bytes), testing::EndsWith(name)) << file.path;
    }
  }
}

// Codec children of the task workers.
std::vector<pid_t> CodecChildren(const Server& server) {
  std::vector<pid_t> children;
  for (const pid_t worker : server.Pids("task_worker")) {
    const std::string id = std::to_string(worker);
    std::ifstream list("/proc/" + id + "/task/" + id + "/children");
    for (pid_t child = 0; list >> child;) children.push_back(child);
  }
  return children;
}

TEST(Corpus, AFileThatKillsItsChildTwiceIsQuarantinedAndTheOthersGoOn) {
  Server server;
  // Takes a second or more to decode, so that its child can be killed meanwhile.
  Write(server.files() + "/killer.png", MakePngBomb(12000, 12000));
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(Eventually([&] {
    for (const pid_t child : CodecChildren(server)) kill(child, SIGSEGV);
    return !FailuresByPath(server).empty();
  })) << server.Get("/api/index/status").body;
  const Json answer = server.Get("/api/failures?code=crashed").json;
  ASSERT_EQ(answer["failures"].size(), 1U) << answer;
  const Json failure = answer["failures"][0];
  EXPECT_EQ(GetString(failure, "path"), "killer.png");
  EXPECT_EQ(GetInt(failure, "attempts"), 2);
  EXPECT_THAT(GetString(failure, "message").value_or(""),
              testing::MatchesRegex(
                  ".*killer.png: codec child: killed by Segmentation fault, decoding image/png, "
                  "peak memory [0-9]+ MiB.*"));
  EXPECT_EQ(answer["classes"], (Json{{{"code", "crashed"}, {"count", 1}}}));
  EXPECT_EQ(server.Get("/api/failures?code=corrupt").json["total"], 0);
  EXPECT_EQ(server.Get("/api/failures?code=unheard").status, 400);

  Write(server.files() + "/good-newt.png", Encoded(Quarters(64, 64), "png"));
  EXPECT_TRUE(Eventually([&] { return !server.Find("newt").empty(); }));

  // Left alone, it is tried again and indexed, its child not being killed any more.
  EXPECT_EQ(server.Post("/api/failures/retry", {{"code", "crashed"}, {"dry_run", true}}).json,
            (Json{{"matched", 1}, {"retried", 0}}));
  EXPECT_EQ(server.Post("/api/failures/retry", {{"code", "corrupt"}}).json["retried"], 0);
  EXPECT_EQ(server.Post("/api/failures/retry", {{"code", "crashed"}}).json["retried"], 1);
  EXPECT_TRUE(server.AwaitIdle());
  EXPECT_EQ(Restarts(server), 0) << server.log();
}

}  // namespace
}  // namespace msearch::test
