// A compute server's view of its controller, against the real routes over a real catalog.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <utime.h>

#include <filesystem>
#include <fstream>

#include "compute/controller_blobs.h"
#include "compute/fetched_media.h"
#include "net/http_server.h"

namespace msearch::compute {
namespace {

namespace fs = std::filesystem;

std::string Read(const Fd& file) {
  std::string bytes(1 << 20, '\0');
  const ssize_t got = pread(file.get(), bytes.data(), bytes.size(), 0);
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return bytes;
}

MediaCache::Fill Writes(const std::string& bytes, int* calls = nullptr) {
  return [bytes, calls](const std::string& path) {
    if (calls != nullptr) ++*calls;
    return WriteFileAtomically(path, bytes);
  };
}

uint64_t BytesIn(const std::string& directory) {
  uint64_t total = 0;
  for (const auto& entry : fs::directory_iterator(directory)) total += entry.file_size();
  return total;
}

TEST(MediaCache, FetchesAContentOnce) {
  const TemporaryDirectory folder;
  MediaCache cache(folder.path(), 1000, "a");
  int calls = 0;
  for (int i = 0; i < 3; ++i) {
    const auto file = cache.Get(Sha256("frog"), 4, Writes("frog", &calls));
    ASSERT_TRUE(file.ok()) << file.message();
    EXPECT_EQ(Read(*file), "frog");
  }
  EXPECT_EQ(calls, 1);
}

TEST(MediaCache, RefusesWhatIsNotWhatWasAskedFor) {
  const TemporaryDirectory folder;
  MediaCache cache(folder.path(), 1000, "a");
  const auto file = cache.Get(Sha256("frog"), 4, Writes("toad"));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.code(), Code::kUnavailable);
  EXPECT_EQ(BytesIn(folder.path()), 0U) << "nothing of it may be served later";
}

TEST(MediaCache, KeepsWithinItsBytesAndDropsWhatWasUsedLongestAgo) {
  const TemporaryDirectory folder;
  MediaCache cache(folder.path(), 1000, "a");
  const std::string a(400, 'a');
  const std::string b(400, 'b');
  const std::string c(400, 'c');
  ASSERT_TRUE(cache.Get(Sha256(a), 400, Writes(a)).ok());
  ASSERT_TRUE(cache.Get(Sha256(b), 400, Writes(b)).ok());
  // Long ago, and b longer ago than a.
  for (const auto& [content, time] : {std::pair{a, 2000}, {b, 1000}}) {
    const utimbuf times{time, time};
    ASSERT_EQ(utime((folder.path() + "/" + Sha256(content).hex()).c_str(), &times), 0);
  }
  ASSERT_TRUE(cache.Get(Sha256(c), 400, Writes(c)).ok());
  EXPECT_TRUE(cache.Find(Sha256(a)).ok());
  EXPECT_FALSE(cache.Find(Sha256(b)).ok());
  EXPECT_LE(BytesIn(folder.path()), 1000U);
}

TEST(MediaCache, WhatIsOpenOutlivesItsRemoval) {
  const TemporaryDirectory folder;
  MediaCache cache(folder.path(), 500, "a");
  const std::string a(400, 'a');
  const auto open = cache.Get(Sha256(a), 400, Writes(a));
  ASSERT_TRUE(open.ok());
  const std::string b(400, 'b');
  ASSERT_TRUE(cache.Get(Sha256(b), 400, Writes(b)).ok());
  EXPECT_FALSE(cache.Find(Sha256(a)).ok());
  EXPECT_EQ(Read(*open), a);
}

TEST(MediaCache, WhatIsLargerThanItIsFetchedForOneUse) {
  const TemporaryDirectory folder;
  MediaCache cache(folder.path(), 100, "a");
  const std::string large(101, 'x');
  const auto file = cache.Get(Sha256(large), large.size(), Writes(large));
  ASSERT_TRUE(file.ok()) << file.message();
  EXPECT_EQ(Read(*file), large);
  EXPECT_EQ(BytesIn(folder.path()), 0U);
}

// Writes half of it and meets the end of the disk, the first `times` times.
MediaCache::Fill OutOfRoom(const std::string& bytes, int times, int* calls) {
  return [=](const std::string& path) -> Result<> {
    if ((*calls)++ >= times) return WriteFileAtomically(path, bytes);
    TRY(WriteFileAtomically(path, bytes.substr(0, bytes.size() / 2)));
    return Error{Code::kExhausted, path + ": write: No space left on device"};
  };
}

TEST(MediaCache, GivesUpWhatItKeepsWhereTheDiskHasNoRoomForMore) {
  const TemporaryDirectory folder;
  MediaCache cache(folder.path(), 1000, "a");
  const std::string kept(400, 'k');
  ASSERT_TRUE(cache.Get(Sha256(kept), 400, Writes(kept)).ok());
  const std::string wanted(400, 'w');
  int calls = 0;
  const auto file = cache.Get(Sha256(wanted), 400, OutOfRoom(wanted, 1, &calls));
  ASSERT_TRUE(file.ok()) << file.message();
  EXPECT_EQ(Read(*file), wanted);
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(cache.Find(Sha256(kept)).ok());
  EXPECT_EQ(cache.problem(), "");
}

TEST(MediaCache, SaysThatItHasNoRoomAndLeavesNothingInTheWay) {
  const TemporaryDirectory folder;
  MediaCache cache(folder.path(), 1000, "a");
  const std::string wanted(400, 'w');
  int calls = 0;
  const auto file = cache.Get(Sha256(wanted), 400, OutOfRoom(wanted, 2, &calls));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.code(), Code::kExhausted);
  EXPECT_NE(cache.problem().find("No space left on device"), std::string::npos);
  EXPECT_EQ(BytesIn(folder.path()), 0U);
  ASSERT_TRUE(cache.Get(Sha256(wanted), 400, Writes(wanted)).ok());
  EXPECT_EQ(cache.problem(), "");
}

TEST(MediaCache, AFolderThatCantBeWrittenIsNoFaultOfTheFile) {
  const TemporaryDirectory folder;
  ASSERT_TRUE(WriteFileAtomically(folder.path() + "/media", "a file in the way").ok());
  MediaCache cache(folder.path() + "/media", 1000, "a");
  const auto file = cache.Get(Sha256("frog"), 4, Writes("frog"));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.code(), Code::kUnavailable);
  EXPECT_NE(cache.problem(), "");
}

// A controller of which the test says what it answers.
class Peer {
 public:
  explicit Peer(std::vector<net::Route> routes, uint16_t port = 0) {
    net::HttpServerOptions options;
    options.port = port;
    auto started = net::HttpServer::Start(options, std::move(routes));
    if (!started.ok()) abort();
    server_ = std::move(*started);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  uint16_t port() const { return server_->port(); }
  void Stop() { server_.reset(); }

 private:
  std::unique_ptr<net::HttpServer> server_;
};

net::Response Text(int status, const std::string& body) {
  net::Response response;
  response.status = status;
  response.body = body;
  return response;
}

TEST(ControllerLink, KeepsTheCodeOfAProblemAndKnowsWhenNobodyAnswers) {
  Peer peer({{"GET",
              "/api/gone",
              0,
              [](const net::Request&) {
                return Text(404, R"({"code":"not_found","detail":"frog: gone"})");
              },
              {}},
             {"GET", "/api/secret", 0, [](const net::Request&) { return Text(401, "{}"); }, {}}});
  ControllerLink link({peer.url() + "/", "token"});
  const auto gone = link.GetJson("/api/gone", Milliseconds(5000));
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.code(), Code::kNotFound);
  EXPECT_EQ(gone.message(), "frog: gone");
  EXPECT_FALSE(link.away());

  const auto stranger = link.Greet();
  ASSERT_FALSE(stranger.ok());
  EXPECT_EQ(stranger.code(), Code::kInvalid) << "asking again won't help";
  EXPECT_NE(stranger.message().find(peer.url() + ": does not answer like an msearch controller"),
            std::string::npos)
      << stranger.message();

  const auto refused = link.GetJson("/api/secret", Milliseconds(5000));
  EXPECT_EQ(refused.code(), Code::kUnavailable) << "a wrong token is no fault of a file";
  EXPECT_TRUE(link.away());

  peer.Stop();
  EXPECT_EQ(link.GetJson("/api/gone", Milliseconds(5000)).code(), Code::kUnavailable);
  EXPECT_TRUE(link.away());
}

TEST(ControllerLink, RestsAfterItFoundNobodyUntilASignOfLife) {
  std::atomic<int> asked = 0;
  const auto route = [&](const char* path) {
    return net::Route{"GET",
                      path,
                      0,
                      [&asked](const net::Request&) {
                        ++asked;
                        return Text(200, "{}");
                      },
                      {}};
  };
  auto peer = std::make_unique<Peer>(
      std::vector<net::Route>{route("/api/thing"), route("/api/compute/hello")});
  const uint16_t port = peer->port();
  ControllerLink link({peer->url(), "", std::chrono::hours(1)});
  ASSERT_TRUE(link.GetJson("/api/thing", Milliseconds(5000)).ok());
  EXPECT_EQ(link.problem(), "");
  peer->Stop();
  const auto gone = link.GetJson("/api/thing", Milliseconds(5000));
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(link.problem(), gone.message());

  peer = std::make_unique<Peer>(
      std::vector<net::Route>{route("/api/thing"), route("/api/compute/hello")}, port);
  asked = 0;
  EXPECT_EQ(link.GetJson("/api/thing", Milliseconds(5000)).code(), Code::kUnavailable);
  EXPECT_EQ(asked, 0) << "everything under work would wait for its own end else";
  EXPECT_TRUE(link.Reachable());
  EXPECT_EQ(link.problem(), "");
  EXPECT_TRUE(link.GetJson("/api/thing", Milliseconds(5000)).ok());
}

TEST(FetchedMedia, TakesTheFileItselfWhereItOpensAndIsTheSame) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/frog.txt";
  ASSERT_TRUE(WriteFileAtomically(path, "here").ok());
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  ingest::PrepareJob job;
  job.file = 1;
  job.version = 7;
  job.root_path = folder.path();
  job.path = "frog.txt";
  job.size = 4;
  job.modified_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;

  int asked = 0;
  Peer peer({{"GET",
              "/api/compute/files/{id}/digest",
              0,
              [&](const net::Request& request) {
                ++asked;
                EXPECT_EQ(request.Query("version"), "7");
                return Text(200, R"({"sha256":")" + Sha256("there").hex() + R"(","size":5})");
              },
              {}},
             {"GET",
              "/api/compute/files/{id}",
              0,
              [&](const net::Request& request) {
                EXPECT_EQ(request.Header("authorization"), "Bearer token");
                return Text(200, "there");
              },
              {}}});
  auto link = std::make_shared<ControllerLink>(LinkOptions{peer.url(), "token"});
  const auto access =
      FetchedMedia(link, std::make_shared<MediaCache>(folder.path() + "/cache", 1000, "a"));
  auto here = access->Find(job, {});
  ASSERT_TRUE(here.ok()) << here.message();
  EXPECT_EQ((*here)->Hash().value_or(Digest()), Sha256("here"));
  EXPECT_EQ(asked, 0);

  // Another file at the same path isn't it.
  job.size = 5;
  auto fetched = access->Find(job, {});
  ASSERT_TRUE(fetched.ok()) << fetched.message();
  EXPECT_EQ((*fetched)->Hash().value_or(Digest()), Sha256("there"));
  EXPECT_EQ(asked, 1);
  const auto content = (*fetched)->Open();
  ASSERT_TRUE(content.ok()) << content.message();
  EXPECT_EQ(Read(**content), "there");
  EXPECT_FALSE((*fetched)->Changed());
}

}  // namespace
}  // namespace msearch::compute
