#include "storage/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "storage/fallback_blobs.h"
#include "storage/redis_blob_store.h"
#include "support/redis_server.h"

namespace msearch::storage {
namespace {

constexpr uint64_t kBudget = 10'000;

// What every store of blobs does.
class BlobStoreTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "redis" && !test::RedisServer::Available()) GTEST_SKIP() << "no redis-server";
    if (GetParam() == "redis") server_ = std::make_unique<test::RedisServer>();
    store_ = Open();
  }
  std::unique_ptr<BlobStore> Open() {
    if (server_) {
      RedisOptions options;
      options.port = server_->port();
      auto redis = Redis::Make(options);
      EXPECT_TRUE(redis.ok());
      return OpenRedisBlobStore(*redis, {.prefix = "{some}:", .bytes_max = kBudget});
    }
    auto opened = OpenFileBlobStore(path_, kBudget);
    EXPECT_TRUE(opened.ok()) << opened.message();
    return std::move(opened).value();
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/blobs";
  std::unique_ptr<test::RedisServer> server_;
  std::unique_ptr<BlobStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, BlobStoreTest, testing::Values("file", "redis"),
                         [](const auto& name) { return name.param; });

class FileBlobStoreTest : public testing::Test {
 protected:
  std::string FileOf(const std::string& id) const { return path_ + "/" + id; }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/blobs";
  const std::unique_ptr<BlobStore> store_ = std::move(OpenFileBlobStore(path_, kBudget)).value();
};

TEST_P(BlobStoreTest, BytesComeBackUnderAnIdOfTheirOwn) {
  const std::string bytes("a\0b\xFF", 4);
  const std::string id = store_->Put(bytes).value();
  const std::string again = store_->Put(bytes).value();
  EXPECT_NE(id, again);
  EXPECT_EQ(store_->Get(id).value(), bytes);
  store_->Remove(id);
  EXPECT_EQ(store_->Get(id).code(), Code::kNotFound);
  EXPECT_EQ(store_->Get(again).value(), bytes);
  store_->Remove(id);  // twice is harmless
  EXPECT_EQ(store_->Get(store_->Put("").value()).value(), "");
}

TEST_P(BlobStoreTest, BudgetHoldsBackUntilSomethingIsRemoved) {
  std::vector<std::string> ids;
  Result<std::string> put = store_->Put(std::string(1000, 'x'));
  while (put.ok() && ids.size() < 100) {
    ids.push_back(*put);
    put = store_->Put(std::string(1000, 'x'));
  }
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.code(), Code::kExhausted);
  EXPECT_EQ(ids.size(), 9U);
  EXPECT_LE(store_->bytes(), kBudget);
  store_->Remove(ids[0]);
  EXPECT_TRUE(store_->Put(std::string(1000, 'x')).ok());
}

TEST_P(BlobStoreTest, BlobLargerThanTheBudgetWillNeverFit) {
  EXPECT_EQ(store_->Put(std::string(kBudget, 'x')).code(), Code::kTooLarge);
  EXPECT_EQ(store_->bytes(), 0U);
}

TEST_F(FileBlobStoreTest, DamagedBlobCountsAsLost) {
  const std::string bytes = "some bytes, more than eight";
  const std::string id = store_->Put(bytes).value();
  const std::string whole = ReadFile(FileOf(id)).value();
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    ASSERT_TRUE(WriteFileAtomically(FileOf(id), flipped).ok());
    EXPECT_EQ(store_->Get(id).code(), Code::kNotFound) << i;
    ASSERT_TRUE(WriteFileAtomically(FileOf(id), whole.substr(0, i)).ok());
    EXPECT_EQ(store_->Get(id).code(), Code::kNotFound) << i;
  }
  ASSERT_TRUE(WriteFileAtomically(FileOf(id), whole + "x").ok());
  EXPECT_EQ(store_->Get(id).code(), Code::kNotFound);
}

TEST_F(FileBlobStoreTest, IdsCanNotLeaveTheDirectory) {
  const std::string outside = directory_.path() + "/secret";
  ASSERT_TRUE(WriteFileAtomically(outside, "secret").ok());
  for (const char* id : {"", "../secret", "/etc/passwd", "0123", "..%2Fsecret"}) {
    EXPECT_EQ(store_->Get(id).code(), Code::kInvalid) << id;
    store_->Remove(id);
  }
  EXPECT_EQ(store_->Get(std::string(32, '0')).code(), Code::kNotFound);
  EXPECT_TRUE(std::filesystem::exists(outside));
}

TEST_F(FileBlobStoreTest, OnlyWhatIsOlderIsRemoved) {
  const std::string old_id = store_->Put("old").value();
  const std::string new_id = store_->Put("new").value();
  std::filesystem::last_write_time(
      FileOf(old_id), std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_EQ(store_->RemoveOlderThan(std::chrono::hours(1)).value(), 1);
  EXPECT_EQ(store_->Get(old_id).code(), Code::kNotFound);
  EXPECT_EQ(store_->Get(new_id).value(), "new");
  std::filesystem::remove_all(path_);
  EXPECT_EQ(store_->RemoveOlderThan(std::chrono::hours(1)).code(), Code::kUnavailable);
}

TEST_P(BlobStoreTest, AnotherProcessReadsAndCountsWhatThisOneStored) {
  const std::string id = store_->Put(std::string(3000, 'x')).value();
  const pid_t child = fork();
  if (child == 0) {
    const auto other = Open();
    if (other->bytes() < 3000) _exit(3);
    const auto bytes = other->Get(id);
    if (!bytes.ok() || bytes->size() != 3000) _exit(4);
    other->Remove(id);
    _exit(other->Put(std::string(8000, 'y')).ok() ? 0 : 5);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(store_->Get(id).code(), Code::kNotFound);
  EXPECT_GE(Open()->bytes(), 8000U);
}

TEST_P(BlobStoreTest, ThreadsMayUseItTogether) {
  std::vector<std::vector<std::string>> ids(4);
  {
    std::vector<std::jthread> threads;
    for (size_t thread = 0; thread < ids.size(); ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 50; ++i) {
          const std::string bytes = std::to_string(thread) + ":" + std::to_string(i);
          const auto id = store_->Put(bytes);
          if (!id.ok()) continue;
          EXPECT_EQ(store_->Get(*id).value(), bytes);
          if (i % 2 == 0) {
            store_->Remove(*id);
          } else {
            ids[thread].push_back(*id);
          }
        }
      });
    }
  }
  std::set<std::string> distinct;
  for (const auto& some : ids) distinct.insert(some.begin(), some.end());
  EXPECT_EQ(distinct.size(), 100U);
}

TEST_F(FileBlobStoreTest, DirectoryThatCanNotBeMadeIsAnError) {
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/file", "x").ok());
  EXPECT_FALSE(OpenFileBlobStore(directory_.path() + "/file/blobs", kBudget).ok());
}

class RedisBlobStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::RedisServer::Available()) GTEST_SKIP() << "no redis-server";
    server_ = std::make_unique<test::RedisServer>();
  }
  std::unique_ptr<BlobStore> Open(Milliseconds ttl = std::chrono::hours(1)) {
    RedisOptions options;
    options.port = server_->port();
    return OpenRedisBlobStore(Redis::Make(options).value(), {"", 10 << 20, ttl});
  }
  int64_t UsedMemory() const {
    const std::string info = server_->Call({"INFO", "memory"});
    const std::string key = "used_memory:";
    return std::stoll(info.substr(info.find(key) + key.size()));
  }

  std::unique_ptr<test::RedisServer> server_;
};

TEST_F(RedisBlobStoreTest, BytesOfEverySizeComeBack) {
  const auto store = Open();
  for (const size_t size : {0U, 1U, 16369U, 16370U, 16371U, 32748U, 50000U, 1000000U}) {
    std::string bytes(size, 'x');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
    const auto id = store->Put(bytes);
    ASSERT_TRUE(id.ok()) << id.message();
    EXPECT_EQ(store->Get(*id).value(), bytes) << size;
  }
}

TEST_F(RedisBlobStoreTest, PictureCostsLittleMoreThanItsBytes) {
  const auto store = Open();
  const std::string picture = RandomBytes(200'000);
  ASSERT_TRUE(store->Put(picture).ok());
  const int64_t before = UsedMemory();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store->Put(picture).ok());
  const double factor = static_cast<double>(UsedMemory() - before) / 20 / 200'000;
  EXPECT_LE(factor, 1.05);
  EXPECT_GE(factor, 1.0);
}

TEST_F(RedisBlobStoreTest, LostChunkMakesALostBlob) {
  const auto store = Open();
  const std::string id = store->Put(std::string(50000, 'x')).value();
  EXPECT_EQ(server_->Call({"DEL", "blob:" + id + ":2"}), "1");
  EXPECT_EQ(store->Get(id).code(), Code::kNotFound);
  const std::string other = store->Put(std::string(50000, 'x')).value();
  server_->Call({"SETRANGE", "blob:" + other + ":1", "77", "y"});
  EXPECT_EQ(store->Get(other).code(), Code::kNotFound);
}

TEST_F(RedisBlobStoreTest, IdsAreChecked) {
  const auto store = Open();
  for (const char* id : {"", "0123", "*", "queue:meta"}) {
    EXPECT_EQ(store->Get(id).code(), Code::kInvalid) << id;
  }
  EXPECT_EQ(store->Get(std::string(24, 'a') + "00000010").code(), Code::kNotFound);
}

TEST_F(RedisBlobStoreTest, ExpiredBlobsGiveTheirRoomBack) {
  const auto store = Open(Milliseconds(30));
  const std::string id = store->Put(std::string(6 << 20, 'x')).value();
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (store->Get(id).ok() && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  EXPECT_EQ(store->Get(id).code(), Code::kNotFound);
  EXPECT_TRUE(store->Put(std::string(6 << 20, 'y')).ok());
}

TEST_F(RedisBlobStoreTest, OnlyWhatIsOlderIsRemoved) {
  const auto store = Open();
  const std::string id = store->Put("some").value();
  EXPECT_EQ(store->RemoveOlderThan(std::chrono::hours(1)).value(), 0);
  EXPECT_EQ(store->Get(id).value(), "some");
  server_->Call({"ZADD", "blobs:index", "1000", id});
  EXPECT_EQ(store->RemoveOlderThan(std::chrono::hours(1)).value(), 1);
  EXPECT_EQ(store->Get(id).code(), Code::kNotFound);
  EXPECT_EQ(store->bytes(), 0U);
}

TEST_F(RedisBlobStoreTest, MissingRightIsNoFaultOfTheBytes) {
  EXPECT_EQ(
      server_->Call({"ACL", "SETUSER", "poor", "on", ">secret", "~*", "&*", "+@all", "-eval"}),
      "OK");
  RedisOptions options;
  options.port = server_->port();
  options.user = "poor";
  options.password = "secret";
  const auto store =
      OpenRedisBlobStore(Redis::Make(options).value(), {"", 10 << 20, std::chrono::hours(1)});
  const auto refused = store->Put("bytes");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_NE(refused.message().find("eval"), std::string::npos) << refused.message();
}

TEST_F(RedisBlobStoreTest, AnotherStoreTakesOverWhileTheServerIsAway) {
  const TemporaryDirectory directory;
  auto files = std::move(OpenFileBlobStore(directory.path(), 10 << 20)).value();
  const BlobStore& behind = *files;
  const auto store = WithFallback(Open(), std::move(files));
  const std::string shared = store->Put("shared").value();
  EXPECT_EQ(behind.Get(shared).code(), Code::kNotFound);
  server_->Kill();
  const std::string local = store->Put("local").value();
  EXPECT_EQ(behind.Get(local).value_or(""), "local");
  EXPECT_EQ(store->Get(local).value_or(""), "local");
  EXPECT_EQ(store->Get(shared).code(), Code::kUnavailable) << "it may not be lost";
  server_->Restart();
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (store->Get(shared).code() == Code::kUnavailable &&
         std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_EQ(store->Get(local).value_or(""), "local");
  store->Remove(local);
  EXPECT_EQ(behind.Get(local).code(), Code::kNotFound);
  EXPECT_EQ(store->Get(local).code(), Code::kNotFound);
}

TEST_F(RedisBlobStoreTest, ServerThatIsAwayIsSaidToBe) {
  const auto store = Open();
  const std::string id = store->Put("some").value();
  server_->Kill();
  EXPECT_EQ(store->Get(id).code(), Code::kUnavailable);
  EXPECT_EQ(store->Put("more").code(), Code::kUnavailable);
}

TEST_F(FileBlobStoreTest, FilesOfRemovedBlobsServeAgainAndCountForNothing) {
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(path_), {}); };
  for (size_t i = 0; i < 300; ++i) {
    // Longer and shorter ones in turn: nothing of the last content may be left.
    const std::string bytes(i % 2 == 0 ? 500 : 20, static_cast<char>('a' + i % 26));
    const std::string id = store_->Put(bytes).value();
    EXPECT_EQ(store_->Get(id).value(), bytes);
    store_->Remove(id);
    EXPECT_EQ(store_->Get(id).code(), Code::kNotFound);
    EXPECT_EQ(store_->bytes(), 0U);
  }
  EXPECT_LE(files(), 64);
  const auto another = std::move(OpenFileBlobStore(path_, kBudget)).value();
  EXPECT_EQ(another->bytes(), 0U);
  EXPECT_TRUE(another->RemoveOlderThan(Milliseconds(-1000)).ok());
  EXPECT_EQ(files(), 0);
}

}  // namespace
}  // namespace msearch::storage
