// What users rely on, seen from outside: a folder goes in, hits come out, and nothing that happens
// to files, processes or the disk loses anything.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/strings.h"
#include "support/pdf.h"
#include "support/pictures.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

void Write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// `count` different pictures of a few kilobytes.
void WritePictures(const std::string& folder, int count) {
  for (int i = 0; i < count; ++i) {
    const auto shade = static_cast<uint8_t>(i * 37 % 256);
    const auto raster = Flat(64 + static_cast<uint32_t>(i), 64, {shade, 100, 200});
    Write(folder + "/picture-" + std::to_string(i) + ".png", Encoded(raster, "png"));
  }
}

int64_t Count(const Server& server, const char* what) {
  return GetInt(server.Get("/api/index/status").json, what).value_or(-1);
}

std::set<int64_t> MediaIds(const Server& server) {
  std::set<int64_t> ids;
  const Json answer = server.Get("/api/media?limit=1000").json;
  for (const Json& media : answer.value("media", Json::array())) {
    ids.insert(GetInt(media, "media_id").value_or(0));
  }
  return ids;
}

TEST(Library, FilesAreFoundByNameByTextAndByPicture) {
  Server server;
  WritePictures(server.files(), 5);
  Write(server.files() + "/red-quarters.jpg", Encoded(Quarters(400, 300), "jpg"));
  Write(server.files() + "/notes/池塘.md", "# 动物\n\n池塘里有一只青蛙在唱歌。\n");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_EQ(Count(server, "indexed"), 7);
  EXPECT_THAT(server.Find("quarters"), ElementsAre("red-quarters.jpg"));
  EXPECT_THAT(server.Find("青蛙"), ElementsAre("notes/池塘.md"));
  EXPECT_THAT(server.Find("zebra crossing"), IsEmpty());

  // The same picture, smaller and encoded anew, comes first.
  const std::string again = Encoded(Quarters(200, 150), "png");
  const auto answer =
      server.Post("/api/search", {{"image", {{"base64", Base64Encode(again)}}}, {"limit", 3}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  ASSERT_FALSE(answer.json["hits"].empty());
  EXPECT_EQ(GetString(answer.json["hits"][0], "path"), "red-quarters.jpg");
}

TEST(Library, AMoveKeepsTheMediaAndACopySharesIt) {
  Server server;
  WritePictures(server.files(), 3);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  const auto before = MediaIds(server);
  ASSERT_EQ(before.size(), 3U);

  fs::create_directories(server.files() + "/elsewhere");
  fs::rename(server.files() + "/picture-0.png", server.files() + "/elsewhere/renamed-frog.png");
  fs::copy_file(server.files() + "/picture-1.png", server.files() + "/copied-newt.png");
  EXPECT_TRUE(Eventually([&] {
    return server.Find("frog") == std::vector<std::string>{"elsewhere/renamed-frog.png"} &&
           !server.Find("newt").empty() && server.Find("picture-0").empty();
  }));
  EXPECT_EQ(MediaIds(server), before);
}

TEST(Library, ABrokenFileIsListedWithItsReasonAndHarmsNothing) {
  Server server;
  WritePictures(server.files(), 4);
  Write(server.files() + "/broken.jpg", "\xff\xd8\xff\xe0 this is no picture");
  Write(server.files() + "/empty.png", "");
  Write(server.files() + "/bomb.png", MakePngHeader(100000, 100000));
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_EQ(Count(server, "indexed"), 4);
  const Json failures = server.Get("/api/failures").json;
  std::set<std::string> paths;
  for (const Json& failure : failures.value("failures", Json::array())) {
    paths.insert(GetString(failure, "path").value_or(""));
    EXPECT_NE(GetString(failure, "message").value_or(""), "");
    if (GetString(failure, "path") == "bomb.png") {
      EXPECT_EQ(GetString(failure, "code"), "too_large");
    }
  }
  EXPECT_THAT(paths, ElementsAre("bomb.png", "broken.jpg", "empty.png"));

  // Mended, it's taken up.
  Write(server.files() + "/broken.jpg", Encoded(Flat(80, 80, {1, 2, 3}), "jpg"));
  EXPECT_TRUE(Eventually([&] { return Count(server, "indexed") == 5; }));
}

TEST(Library, AnUnreachableRootIsNoMassDeletion) {
  Server server;
  WritePictures(server.files(), 3);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  fs::rename(server.files(), server.files() + "-unplugged");
  server.Post("/api/roots/files/scan");
  EXPECT_TRUE(Eventually(
      [&] { return GetString(server.Get("/api/roots/files").json, "state") == "unreachable"; }));
  EXPECT_EQ(Count(server, "indexed"), 3);
  fs::rename(server.files() + "-unplugged", server.files());
  server.Post("/api/roots/files/scan");
  EXPECT_TRUE(Eventually(
      [&] { return GetString(server.Get("/api/roots/files").json, "state") == "watching"; }));
  EXPECT_EQ(Count(server, "indexed"), 3);
}

TEST(Library, KilledProcessesLoseNothing) {
  Server server;
  WritePictures(server.files(), 150);
  setenv("MSEARCH_QUEUE_LEASE_SECONDS", "2", 1);
  ASSERT_TRUE(server.Start()) << server.log();
  unsetenv("MSEARCH_QUEUE_LEASE_SECONDS");
  server.AddRoot();
  for (const char* role : {"task_worker", "embedding_worker", "monitor", "task_worker"}) {
    ASSERT_TRUE(Eventually([&] { return !server.Pids(role).empty(); })) << role;
    kill(server.Pids(role).front(), SIGKILL);
  }
  ASSERT_TRUE(Eventually([&] { return !server.Pids("controller").empty(); }));
  const pid_t controller = server.Pids("controller").front();
  kill(controller, SIGKILL);
  // It comes back on the same address.
  ASSERT_TRUE(Eventually([&] { return server.Get("/health").status == 200; }));
  ASSERT_TRUE(server.AwaitIdle()) << server.log();
  EXPECT_EQ(Count(server, "indexed"), 150);
  EXPECT_EQ(Count(server, "failed"), 0);
  EXPECT_EQ(MediaIds(server).size(), 150U);
}

TEST(Library, ADamagedIndexAndALostQueueRepairThemselves) {
  Server server;
  WritePictures(server.files(), 6);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_EQ(server.Stop(), 0);

  int cut = 0;
  for (const auto& entry : fs::directory_iterator(server.data() + "/index")) {
    fs::resize_file(entry.path(), entry.file_size() / 2);
    ++cut;
  }
  ASSERT_EQ(cut, 1);
  for (const char* file : {"/queue.db", "/queue.db-wal", "/queue.db-shm"}) {
    fs::remove(server.data() + file);
  }
  Write(server.files() + "/later.png", Encoded(Flat(70, 70, {9, 9, 9}), "png"));
  ASSERT_TRUE(server.Start()) << server.log();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_EQ(Count(server, "indexed"), 7);
  const Json verified = server.Post("/api/index/verify").json;
  EXPECT_TRUE(GetBool(verified, "ok").value_or(false)) << verified.dump();
}

TEST(Library, ALostCatalogTakesTheTasksThatNameItsFilesWithIt) {
  Server server;
  WritePictures(server.files(), 4);
  ASSERT_TRUE(server.Start()) << server.log();
  server.Post("/api/queue/tasks/pause");
  server.AddRoot();
  const auto queued = [&] {
    return GetInt(server.Get("/api/tasks?queue=tasks&status=queued").json, "total");
  };
  ASSERT_TRUE(Eventually([&] { return queued() == 4; })) << server.log();
  ASSERT_EQ(server.Stop(), 0);
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(server.data() + "/catalog.db" + end);
  ASSERT_TRUE(server.Start()) << server.log();
  EXPECT_EQ(queued(), 0);
  EXPECT_THAT(server.log(), HasSubstr("is another library's, whose catalog is gone; its"));
  // Nor does anybody watch its roots any more.
  Json roots;
  ASSERT_TRUE(Eventually([&] {
    for (const Json& worker : server.Get("/api/workers").json.value("workers", Json::array())) {
      if (GetString(worker, "role") == "monitor") roots = worker.value("roots", Json());
    }
    return roots.is_array();
  }));
  EXPECT_THAT(roots, IsEmpty());

  Write(server.files() + "/later.png", Encoded(Flat(90, 90, {9, 9, 9}), "png"));
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_EQ(Count(server, "indexed"), 5);
  EXPECT_EQ(Count(server, "failed"), 0);
}

// Where there is nobody else, what is installed decides nothing until a file can't be opened.
TEST(Running, AWorkerAsksForFormatsOnlyWhenTheyMatter) {
  Server server({"--workers", "1"});
  ASSERT_TRUE(server.Start()) << server.log();
  ASSERT_TRUE(Eventually([&] { return server.Pids("task_worker").size() == 1; }));
  const std::string stat =
      ReadFile("/proc/" + std::to_string(server.Pids("task_worker").front()) + "/stat")
          .value_or("");
  const auto fields = Split(stat.substr(stat.rfind(')') + 2), ' ');
  ASSERT_GT(fields.size(), 8U);
  EXPECT_EQ(fields[8], "0") << "pages of children that have ended";
}

TEST(Running, SoftwareThatIsMissingIsNamedWhereAFileNeedsIt) {
  if (geteuid() != 0) GTEST_SKIP() << "takes a program away from a process, as root";
  const TemporaryDirectory folder;
  Write(folder.path() + "/files/report.pdf", MakePdf({{.text = "a frog"}}));
  const Background running({"unshare", "--mount", "sh", "-c",
                            "mount --bind /dev/null /usr/bin/pdfinfo && exec \"$@\"", "sh",
                            "msearch", "run", "both", "--port", "0", "--data",
                            folder.path() + "/data", "--model", "builtin", "--workers", "1"});
  const std::string address = folder.path() + "/data/run/address";
  ASSERT_TRUE(Eventually([&] { return fs::exists(address); })) << running.log();
  const std::string url(Trim(ReadFile(address).value_or("")));
  EXPECT_EQ(RunMsearch({"root", "add", folder.path() + "/files", "--server", url}).status, 0);
  std::string failures;
  EXPECT_TRUE(Eventually([&] {
    failures = RunMsearch({"index", "failures", "--server", url}).out;
    return failures.find("install poppler-utils") != std::string::npos;
  })) << failures
      << running.log();
}

// As a package's upgrade does it: another file takes the place of the one that runs.
TEST(Running, AReplacedProgramGoesOnWithTheVersionThatItIs) {
  const Installed installed({});
  Server server({"--workers", "1"});
  WritePictures(server.files(), 2);
  ASSERT_TRUE(server.Start()) << server.log();
  fs::copy_file("/bin/false", installed.program() + ".new");
  fs::rename(installed.program() + ".new", installed.program());

  // A role that dies is started again, and starts children to open files.
  ASSERT_TRUE(Eventually([&] { return server.Pids("task_worker").size() == 1; }));
  const pid_t before = server.Pids("task_worker").front();
  ASSERT_EQ(kill(before, SIGKILL), 0);
  pid_t after = 0;
  ASSERT_TRUE(Eventually([&] {
    for (const pid_t pid : server.Pids("task_worker")) {
      if (pid != before) after = pid;
    }
    return after != 0;
  })) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle()) << server.log();
  EXPECT_EQ(Count(server, "indexed"), 2) << server.log();

  // They are called what they were called.
  const std::string worker = "/proc/" + std::to_string(after);
  EXPECT_EQ(ReadFile(worker + "/comm").value_or(""), "msearch\n");
  const std::string words = ReadFile(worker + "/cmdline").value_or("");
  EXPECT_EQ(words.substr(0, words.find('\0')), installed.program());
}

TEST(Running, ASecondServerOnTheSameDataFolderIsRefused) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  const auto second =
      RunMsearch({"run", "both", "--data", server.data(), "--port", "0", "--model", "builtin"});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr("another msearch is running"));
  EXPECT_EQ(server.Get("/health").status, 200);
}

TEST(Running, AnUnknownSettingNamesTheNearest) {
  TemporaryDirectory directory;
  Write(directory.path() + "/c.yml", "processes:\n  file_monitor:\n    scan_intervall: 5\n");
  const auto result = RunMsearch({"run", "both", "--config", directory.path() + "/c.yml"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("c.yml:3"));
  EXPECT_THAT(result.err, HasSubstr("scan_interval"));
}

TEST(Running, AnAddressForAllNeedsAToken) {
  const auto result = RunMsearch({"run", "both", "--host", "0.0.0.0", "--port", "0"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("token"));
}

TEST(Running, StoppingLeavesNoProcess) {
  Server server;
  WritePictures(server.files(), 3);
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  const std::string data = server.data();
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_THAT(ProcessesWith(data), IsEmpty());
}

TEST(Running, AKilledSupervisorTakesItsRolesWithIt) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  ASSERT_TRUE(Eventually([&] { return !server.Pids("task_worker").empty(); }));
  const std::string data = server.data();
  server.Kill(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return ProcessesWith(data).empty(); }));
}

TEST(Api, BadRequestsGetAProblemWithACode) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  struct Case {
    Json body;
    int status;
    const char* code;
  };
  for (const Case& one : std::vector<Case>{
           {{{"qerry", "x"}}, 400, "invalid"},
           {Json::object(), 400, "invalid"},
           {{{"query", "x"}, {"limit", 100000}}, 400, "invalid"},
           {{{"query", "x"}, {"filters", {{"type", "sculpture"}}}}, 400, "invalid"},
           {{{"image", {{"path", "/etc/passwd"}}}}, 403, "permission"},
           {{{"image", {{"media_id", 12345}}}}, 404, "not_found"},
           {{{"image", {{"base64", "AAAA"}}}}, 415, "unsupported"},
       }) {
    const auto answer = server.Post("/api/search", one.body);
    EXPECT_EQ(answer.status, one.status) << one.body.dump() << answer.body;
    EXPECT_EQ(GetString(answer.json, "code"), one.code) << answer.body;
  }
  EXPECT_EQ(server.Post("/api/roots", {{"path", "/no/such/folder"}}).status, 404);
  EXPECT_EQ(server.Get("/api/roots/nothing").status, 404);
  EXPECT_EQ(server.Get("/api/nonsense").status, 404);
  EXPECT_EQ(server.Get("/api/tasks/nonsense").status, 404);
  EXPECT_EQ(server.Delete("/api/roots").status, 405);
}

TEST(Api, TheDescriptionListsTheRoutes) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  const Json description = server.Get("/api/openapi.json").json;
  for (const char* path : {"/api/search", "/api/roots", "/api/roots/{name}/scan", "/health",
                           "/api/media/{id}/content", "/api/tasks/{id}/retry"}) {
    EXPECT_TRUE(description["paths"].contains(path)) << path;
  }
}

TEST(CommandLine, FindsWhatWasIndexed) {
  Server server;
  WritePictures(server.files(), 3);
  Write(server.files() + "/lighthouse.png", Encoded(Flat(90, 90, {250, 250, 250}), "png"));
  ASSERT_TRUE(server.Start()) << server.log();
  const std::vector<std::string> at{"--server", server.url()};
  auto run = [&](std::vector<std::string> words) {
    words.insert(words.end(), at.begin(), at.end());
    return RunMsearch(words);
  };
  EXPECT_EQ(run({"root", "add", server.files(), "--name", "pictures"}).status, 0);
  EXPECT_EQ(run({"index", "status", "--wait"}).status, 0);
  const auto found = run({"search", "lighthouse"});
  EXPECT_EQ(found.status, 0);
  EXPECT_THAT(found.out, HasSubstr("lighthouse.png"));
  const auto like = run({"search", "--image", server.files() + "/lighthouse.png", "--json"});
  EXPECT_EQ(like.status, 0) << like.err;
  EXPECT_THAT(like.out, HasSubstr("lighthouse.png"));
  EXPECT_EQ(run({"task", "stats"}).status, 0);
  EXPECT_EQ(run({"root", "remove", "pictures"}).status, 0);
  EXPECT_TRUE(Eventually([&] { return server.Find("lighthouse").empty(); }));
}

}  // namespace
}  // namespace msearch::test
