#include "daemon/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/file.h"

namespace msearch::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SettingsTest : public testing::Test {
 protected:
  std::string File(const std::string& text) {
    const std::string path = directory_.path() + "/settings.yml";
    EXPECT_TRUE(WriteFileAtomically(path, text).ok());
    return path;
  }
  Settings::Source Source(const std::string& text) {
    Settings::Source source;
    source.config = File(text);
    return source;
  }
  TemporaryDirectory directory_;
};

TEST_F(SettingsTest, FlagsWinOverEnvironmentOverFileOverDefault) {
  Settings::Source source = Source("server:\n  port: 1001\n  host: 127.0.0.2\n  threads: 3\n");
  source.environment = {{"MSEARCH_SERVER_PORT", "1002"}, {"MSEARCH_SERVER_HOST", "127.0.0.3"}};
  source.flags = {{"--port", "1003"}};
  const auto settings = Settings::Load(source);
  ASSERT_TRUE(settings.ok()) << settings.message();
  EXPECT_EQ(settings->Integer("server.port"), 1003);
  EXPECT_EQ(settings->Origin("server.port"), "flag --port");
  EXPECT_EQ(settings->Text("server.host"), "127.0.0.3");
  EXPECT_EQ(settings->Origin("server.host"), "environment MSEARCH_SERVER_HOST");
  EXPECT_EQ(settings->Integer("server.threads"), 3);
  EXPECT_THAT(settings->Origin("server.threads"), HasSubstr("settings.yml"));
  EXPECT_EQ(settings->Text("logging.level"), "info");
  EXPECT_EQ(settings->Origin("logging.level"), "default");
}

TEST_F(SettingsTest, NamesOfOlderSystemsAreRead) {
  Settings::Source source = Source("");
  source.environment = {{"REDIS_PORT", "7000"}, {"COMPUTE_WORKERS", "5"}};
  const auto settings = Settings::Load(source);
  ASSERT_TRUE(settings.ok()) << settings.message();
  EXPECT_EQ(settings->Integer("redis.port"), 7000);
  EXPECT_EQ(settings->Integer("processes.task_worker.num_instances"), 5);
}

TEST_F(SettingsTest, ListsComeFromTheFileAndFromText) {
  Settings::Source source =
      Source("processes:\n  file_monitor:\n    watched_dirs: [\"/a\", \"/b c\"]\n");
  source.environment = {{"MSEARCH_PROCESSES_FILE_MONITOR_EXCLUDE", "*.tmp, cache/**"}};
  const auto settings = Settings::Load(source);
  ASSERT_TRUE(settings.ok()) << settings.message();
  EXPECT_THAT(settings->TextList("processes.file_monitor.watched_dirs"), ElementsAre("/a", "/b c"));
  EXPECT_THAT(settings->TextList("processes.file_monitor.exclude"),
              ElementsAre("*.tmp", "cache/**"));
}

TEST_F(SettingsTest, AnUnknownKeyNamesItsLineAndTheNearest) {
  const auto settings = Settings::Load(Source("server:\n  prot: 5\n"));
  ASSERT_FALSE(settings.ok());
  EXPECT_THAT(settings.message(), HasSubstr("settings.yml:2"));
  EXPECT_THAT(settings.message(), HasSubstr("server.port"));
}

TEST_F(SettingsTest, ValuesAreCheckedAgainstTypeAndRange) {
  for (const char* text :
       {"server:\n  port: many\n", "server:\n  port: 70000\n",
        "processes:\n  file_monitor:\n    recursive: perhaps\n", "logging:\n  level: loud\n",
        "server: [1, 2]\n", "- server\n", "server:\n  port: {a: 1}\n", "server: {port: 1"}) {
    const auto settings = Settings::Load(Source(text));
    ASSERT_FALSE(settings.ok()) << text;
    EXPECT_EQ(settings.code(), Code::kInvalid) << text;
  }
}

TEST_F(SettingsTest, AMissingProfileOrFileIsSaid) {
  Settings::Source source;
  source.config = "no-such-profile";
  EXPECT_EQ(Settings::Load(source).code(), Code::kNotFound);
  source.config = directory_.path() + "/none.yml";
  EXPECT_EQ(Settings::Load(source).code(), Code::kNotFound);
}

TEST_F(SettingsTest, SettingsSurviveTheWayToARole) {
  Settings::Source source = Source("server:\n  port: 1001\n");
  const auto settings = Settings::Load(source);
  ASSERT_TRUE(settings.ok());
  const auto again = Settings::FromJson(settings->ToJson());
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_EQ(again->Integer("server.port"), 1001);
  EXPECT_EQ(again->Origin("server.port"), settings->Origin("server.port"));
  EXPECT_FALSE(Settings::FromJson(Json::object()).ok());
}

TEST_F(SettingsTest, TheTableIsSound) {
  std::set<std::string_view> keys;
  for (const Setting& setting : SettingsTable()) {
    EXPECT_TRUE(keys.insert(setting.key).second) << setting.key;
    EXPECT_FALSE(setting.help.empty()) << setting.key;
  }
  EXPECT_TRUE(Settings::Load({.config = File("")}).ok()) << "a default is refused";
}

TEST_F(SettingsTest, TheDocumentedTableIsTheTable) {
  const auto document = ReadFile(std::string(MSEARCH_SOURCE_DIR) + "/docs/settings.md");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(*document, SettingsMarkdown()) << "msearch config show --markdown > docs/settings.md";
}

}  // namespace
}  // namespace msearch::daemon
