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

namespace msearch::storage {
namespace {

constexpr uint64_t kBudget = 10'000;

class BlobStoreTest : public testing::Test {
 protected:
  std::unique_ptr<BlobStore> Open() {
    auto opened = OpenFileBlobStore(path_, kBudget);
    EXPECT_TRUE(opened.ok()) << opened.message();
    return std::move(opened).value();
  }
  std::string FileOf(const std::string& id) const { return path_ + "/" + id; }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/blobs";
  const std::unique_ptr<BlobStore> store_ = Open();
};

TEST_F(BlobStoreTest, BytesComeBackUnderAnIdOfTheirOwn) {
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

TEST_F(BlobStoreTest, BudgetHoldsBackUntilSomethingIsRemoved) {
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

TEST_F(BlobStoreTest, BlobLargerThanTheBudgetWillNeverFit) {
  EXPECT_EQ(store_->Put(std::string(kBudget, 'x')).code(), Code::kTooLarge);
  EXPECT_EQ(store_->bytes(), 0U);
}

TEST_F(BlobStoreTest, DamagedBlobCountsAsLost) {
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

TEST_F(BlobStoreTest, IdsCanNotLeaveTheDirectory) {
  const std::string outside = directory_.path() + "/secret";
  ASSERT_TRUE(WriteFileAtomically(outside, "secret").ok());
  for (const char* id : {"", "../secret", "/etc/passwd", "0123", "..%2Fsecret"}) {
    EXPECT_EQ(store_->Get(id).code(), Code::kInvalid) << id;
    store_->Remove(id);
  }
  EXPECT_EQ(store_->Get(std::string(32, '0')).code(), Code::kNotFound);
  EXPECT_TRUE(std::filesystem::exists(outside));
}

TEST_F(BlobStoreTest, OnlyWhatIsOlderIsRemoved) {
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

TEST_F(BlobStoreTest, AnotherProcessReadsAndCountsWhatThisOneStored) {
  const std::string id = store_->Put(std::string(3000, 'x')).value();
  const pid_t child = fork();
  if (child == 0) {
    const auto other = OpenFileBlobStore(path_, kBudget);
    if (!other.ok()) _exit(2);
    if ((*other)->bytes() < 3000) _exit(3);
    const auto bytes = (*other)->Get(id);
    if (!bytes.ok() || bytes->size() != 3000) _exit(4);
    (*other)->Remove(id);
    _exit((*other)->Put(std::string(8000, 'y')).ok() ? 0 : 5);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(store_->Get(id).code(), Code::kNotFound);
  EXPECT_GE(Open()->bytes(), 8000U);
}

TEST_F(BlobStoreTest, ThreadsMayUseItTogether) {
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

TEST_F(BlobStoreTest, DirectoryThatCanNotBeMadeIsAnError) {
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/file", "x").ok());
  EXPECT_FALSE(OpenFileBlobStore(directory_.path() + "/file/blobs", kBudget).ok());
}

}  // namespace
}  // namespace msearch::storage
