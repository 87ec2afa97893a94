#include "ingest/index_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

namespace msearch::ingest {
namespace {

template <typename T>
T Get(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  ADD_FAILURE() << CodeName(result.code()) << ": " << result.message();
  return T();
}

embedding::ModelInfo Model(const std::string& key) {
  embedding::ModelInfo model;
  model.name = key;
  model.key = key;
  model.views = {{"all", 2}};
  return model;
}

class IndexFollowerTest : public testing::Test {
 protected:
  IndexFollowerTest() {
    std::string path = testing::TempDir() + "/follower-XXXXXX";
    folder_ = mkdtemp(path.data());
    Open("catalog.db");
    catalog::Root root;
    root.name = "root";
    root.path = "/root";
    Get(catalog_->AddRoot(root));
  }
  ~IndexFollowerTest() override {
    follower_.reset();
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open(const std::string& name) {
    catalog_ = Get(catalog::Catalog::OpenSqlite(folder_ + "/" + name));
  }
  void Follow(const std::string& key) {
    follower_ =
        Get(IndexFollower::Open(folder_ + "/" + key + ".index", Model(key), catalog_.get()));
  }

  void Add(const std::string& name, const std::string& key) {
    catalog::FileFact fact;
    fact.path = name;
    fact.size = 1;
    Get(catalog_->FilesPresent("root", std::array{fact}));
    const auto pending = Get(catalog_->PendingFiles(0, 10));
    ASSERT_EQ(pending.size(), 1U);
    catalog::Commit commit;
    commit.file = pending[0].id;
    commit.version = pending[0].version;
    commit.token = {1, ++token_};
    commit.model_key = key;
    commit.hash = Sha256(name);
    catalog::MediaContent content;
    content.hash = commit.hash;
    content.type = "image";
    content.segments.emplace_back().views = {{1, static_cast<float>(token_)}};
    commit.content = content;
    Get(catalog_->Apply(std::array{commit}));
  }
  void Remove(const std::string& name) {
    ASSERT_TRUE(catalog_->FilesGone("root", std::array{name}).ok());
  }

  bool CatchesUp() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      follower_->Poke();
      if (follower_->CaughtUp()) return true;
      std::this_thread::sleep_for(Milliseconds(2));
    }
    return false;
  }

  std::string folder_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<IndexFollower> follower_;
  uint64_t token_ = 0;
};

TEST_F(IndexFollowerTest, RemovalsOfAnotherModelAreNotWaitedFor) {
  Add("a.jpg", "old");
  Add("b.jpg", "new");
  Follow("new");
  ASSERT_TRUE(CatchesUp());
  Remove("a.jpg");
  EXPECT_TRUE(CatchesUp());
  EXPECT_EQ(follower_->index()->size(), 1U);
}

TEST_F(IndexFollowerTest, IndexAheadOfARestoredCatalogStartsAnew) {
  Add("a.jpg", "model");
  ASSERT_TRUE(catalog_->BackupTo(folder_ + "/backup.db").ok());
  for (const char* name : {"b.jpg", "c.jpg", "d.jpg"}) Add(name, "model");
  Follow("model");
  ASSERT_TRUE(CatchesUp());
  ASSERT_EQ(follower_->index()->size(), 4U);
  follower_.reset();  // saves
  Open("backup.db");
  Follow("model");
  ASSERT_TRUE(CatchesUp());
  EXPECT_EQ(follower_->index()->size(), 1U);
  Add("e.jpg", "model");
  ASSERT_TRUE(CatchesUp());
  EXPECT_EQ(follower_->index()->size(), 2U);
}

TEST_F(IndexFollowerTest, DamagedFileIsBuiltAgainFromTheCatalog) {
  Add("a.jpg", "model");
  Follow("model");
  ASSERT_TRUE(CatchesUp());
  follower_.reset();
  std::filesystem::resize_file(folder_ + "/model.index", 5000);
  Follow("model");
  ASSERT_TRUE(CatchesUp());
  EXPECT_EQ(follower_->index()->size(), 1U);
}

}  // namespace
}  // namespace msearch::ingest
