// Words that are said and words that are seen, found through the real program.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/pages.h"
#include "support/redis_server.h"
#include "support/speech.h"
#include "support/tiff.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string TestModels() {
  if (const char* models = std::getenv("MSEARCH_TEST_MODELS")) return models;
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "" : home) + "/.cache/msearch/models";
}

// Settings of the server to be started; packs are looked for where tests keep them.
void ReadWith(const char* speech, const char* text) {
  setenv("MSEARCH_READING_SPEECH", speech, 1);
  setenv("MSEARCH_READING_TEXT", text, 1);
  setenv("MSEARCH_MODEL_DIRECTORY", TestModels().c_str(), 1);
}

#define SKIP_UNLESS_PACK_IS_PULLED(name)                                                        \
  if (!fs::exists(TestModels() + "/" + (name) + "/state.json")) {                               \
    GTEST_SKIP() << "pack " << (name) << " isn't pulled in " << TestModels()                    \
                 << " (scripts/pull-models does it; MSEARCH_TEST_MODELS names another folder)"; \
  }

Json FirstHit(const Server& server, const std::string& words) {
  const auto answer = server.Post("/api/search", {{"query", words}});
  EXPECT_EQ(answer.status, 200) << answer.body;
  const Json hits = answer.json.value("hits", Json::array());
  return hits.empty() ? Json::object() : hits[0];
}

TEST(Reading, WordsInAPictureAreFoundWithTheirPlace) {
  SKIP_UNLESS_PACK_IS_PULLED("ocr-pp");
  SKIP_UNLESS_DRAWING("Noto Sans CJK SC");
  ReadWith("off", "on");
  Server server;
  fs::create_directories(server.files());
  PageStyle style;
  style.font = "Noto Sans CJK SC";
  style.size = 40;
  style.x = 600;
  style.y = 400;
  DrawInto(server.files() + "/one.png", "Lighthouse keeper wanted", style);
  DrawInto(server.files() + "/two.png", "小心地滑", style);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_THAT(server.Find("lighthouse"), testing::ElementsAre("one.png"));
  EXPECT_THAT(server.Find("地滑"), testing::ElementsAre("two.png"));
  const Json hit = FirstHit(server, "keeper");
  ASSERT_TRUE(hit.contains("boxes")) << DumpJson(hit);
  ASSERT_EQ(hit["boxes"].size(), 1U) << DumpJson(hit);
  EXPECT_EQ(GetString(hit["boxes"][0], "text"), "keeper");
  const Json& box = hit["boxes"][0]["box"];
  EXPECT_GT(box[0].get<double>(), 0.6);
  EXPECT_NEAR(box[1].get<double>(), 0.5, 0.05);
}

TEST(Reading, WordsOnEveryPageOfAScannedPictureAreFound) {
  SKIP_UNLESS_PACK_IS_PULLED("ocr-pp");
  SKIP_UNLESS_DRAWING("DejaVu Sans");
  ReadWith("off", "on");
  Server server;
  fs::create_directories(server.files());
  std::vector<TiffPage> pages;
  for (const char* text : {"Lighthouse keeper", "Harvest festival", "Marmalade recipe"}) {
    const DrawnPage drawn = Drawn(text, {.size = 48});
    media::Raster raster(drawn.width, drawn.height);
    for (size_t i = 0; i < drawn.rgb.size(); ++i) {
      raster.rgbx[i / 3 * 4 + i % 3] = static_cast<uint8_t>(drawn.rgb[i]);
    }
    pages.push_back({std::move(raster)});
  }
  ASSERT_TRUE(WriteFileAtomically(server.files() + "/scan.tif", MakeTiff(pages)).ok());
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  for (const auto& [words, page] :
       {std::pair<const char*, int>{"lighthouse", 1}, {"harvest", 2}, {"marmalade", 3}}) {
    const Json hit = FirstHit(server, words);
    EXPECT_EQ(GetString(hit, "path"), "scan.tif") << words << DumpJson(hit);
    EXPECT_EQ(GetInt(hit, "page"), page) << words << DumpJson(hit);
    EXPECT_TRUE(hit.contains("boxes")) << words;
  }
}

TEST(Reading, SpokenWordsAreFoundWithTheirTime) {
  SKIP_UNLESS_PACK_IS_PULLED("whisper-tiny");
  SKIP_UNLESS_SPEAKING("slt");
  ReadWith("whisper-tiny", "off");
  Server server;
  fs::create_directories(server.files());
  SpeakInto(server.files() + "/tape.wav", "slt",
            "My grandmother always said that the best bread is baked on a cold morning.");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  const Json hit = FirstHit(server, "grandmother");
  EXPECT_EQ(GetString(hit, "path"), "tape.wav") << DumpJson(hit);
  EXPECT_LT(GetDouble(hit, "start_time").value_or(99), 2);
  EXPECT_GT(GetDouble(hit, "end_time").value_or(0), 3);
}

TEST(Reading, IsDoneByAMachineThatHasTheReader) {
  SKIP_UNLESS_PACK_IS_PULLED("ocr-pp");
  SKIP_UNLESS_DRAWING("Noto Sans CJK SC");
  if (!RedisServer::Available()) GTEST_SKIP() << "no redis-server on this machine";
  ReadWith("off", "on");
  const RedisServer redis;
  setenv("REDIS_HOST", "127.0.0.1", 1);
  setenv("REDIS_PORT", std::to_string(redis.port()).c_str(), 1);
  Server server({}, "builtin", "controller");
  fs::create_directories(server.files());
  PageStyle style;
  style.font = "Noto Sans CJK SC";
  style.size = 40;
  style.x = 60;
  style.y = 100;
  DrawInto(server.files() + "/one.png", "Lighthouse keeper wanted", style);
  EXPECT_TRUE(server.Start()) << server.log();
  const TemporaryDirectory folder;
  const auto compute = [&](const std::string& text) {
    return std::make_unique<Background>(std::vector<std::string>{
        "env", "MSEARCH_READING_TEXT=" + text, "msearch", "run", "compute", "--data",
        folder.path() + "/" + text, "--controller", server.url(), "--workers", "1"});
  };
  // It has speech to do as well, or there would be no reader at all.
  setenv("MSEARCH_READING_SPEECH", "whisper-tiny", 1);
  const auto deaf = compute("off");
  server.AddRoot();
  const std::string reason = "no worker reads text in pictures with the controller's pack";
  EXPECT_TRUE(Eventually([&] {
    const Json status = server.Get("/api/index/status").json;
    return GetString(status, "problem").value_or("").find(reason) != std::string::npos;
  })) << server.Get("/api/queue/stats").body
      << deaf->log();
  EXPECT_EQ(GetInt(server.Get("/api/index/status").json, "failed"), 0);
  const auto able = compute("on");
  unsetenv("REDIS_HOST");
  unsetenv("REDIS_PORT");
  ASSERT_TRUE(server.AwaitIdle()) << server.Get("/api/queue/stats").body << able->log();
  EXPECT_THAT(server.Find("lighthouse"), testing::ElementsAre("one.png"));

  // What is asked about a picture goes to it as well, though the other is as idle.
  for (int i = 0; i < 6; ++i) {
    const auto asked = server.Post("/api/async/analyze-image",
                                   {{"image", {{"path", server.files() + "/one.png"}}}});
    const std::string id = GetString(asked.json, "task_id").value_or("");
    const auto ended = server.Get("/api/async/task/" + id + "?wait=60");
    EXPECT_THAT(ended.body, HasSubstr("Lighthouse")) << deaf->log();
  }
}

TEST(Reading, AMissingPackIsToldAndHarmsNothing) {
  ReadWith("whisper-tiny", "on");
  const TemporaryDirectory empty;
  setenv("MSEARCH_MODEL_DIRECTORY", empty.path().c_str(), 1);
  Server server;
  fs::create_directories(server.files());
  ASSERT_TRUE(WriteFileAtomically(server.files() + "/note.txt", "A frog in the pond.").ok());
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_THAT(server.Find("frog"), testing::ElementsAre("note.txt"));
  const Json models = server.Get("/api/models").json;
  ASSERT_EQ(models["readers"].size(), 2U) << DumpJson(models);
  for (const Json& reader : models["readers"]) {
    EXPECT_THAT(GetString(reader, "problem").value_or(""), HasSubstr("msearch model pull"));
  }
}

}  // namespace
}  // namespace msearch::test
