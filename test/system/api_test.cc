// What strangers try at the API and on the command line: each mistake is told, and does nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "support/pictures.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

void Write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Api, DataFolderInsideARootIsNotIndexed) {
  Server server;
  Write(server.files() + "/one.png", Encoded(Flat(64, 64, {10, 100, 200}), "png"));
  ASSERT_TRUE(server.Start()) << server.log();
  for (const std::string& path : {server.data(), server.data() + "/thumbnails"}) {
    const auto refused = server.Post("/api/roots", {{"path", path}});
    EXPECT_EQ(refused.status, 400) << refused.body;
    EXPECT_THAT(refused.body, HasSubstr("data folder"));
  }
  const std::string above = fs::path(server.data()).parent_path();
  ASSERT_EQ(server.Post("/api/roots", {{"path", above}, {"name", "all"}}).status, 201);
  ASSERT_TRUE(server.AwaitIdle());
  ASSERT_FALSE(fs::is_empty(server.data() + "/thumbnails"));
  ASSERT_EQ(server.Post("/api/build_index").status, 202);
  Write(server.files() + "/two.png", Encoded(Flat(65, 64, {10, 100, 200}), "png"));
  EXPECT_TRUE(Eventually([&] { return server.Find("two").size() == 1; }));
  ASSERT_TRUE(server.AwaitIdle());
  std::vector<std::string> paths;
  const Json all = server.Get("/api/media").json;
  for (const Json& media : all["media"]) {
    paths.push_back(media["paths"][0]["path"]);
  }
  EXPECT_THAT(paths, UnorderedElementsAre("files/one.png", "files/two.png"));
}

}  // namespace
}  // namespace msearch::test
