#include "catalog/change_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using testing::SizeIs;

TEST(PackedViewsTest, RoundTripKeepsEveryBit) {
  const std::vector<std::vector<float>> views = {{1.5F, -0.0F, 1e-40F}, {}, {3e38F}};
  EXPECT_EQ(Get(UnpackViews(PackViews(views))), views);
  EXPECT_TRUE(Get(UnpackViews(PackViews({}))).empty());
}

TEST(PackedViewsTest, DamagedBytesAreCorrupt) {
  const std::string whole = PackViews({{1, 2, 3}, {4}});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(UnpackViews(whole.substr(0, size)).code(), Code::kCorrupt) << size;
  }
  EXPECT_EQ(UnpackViews(whole + "x").code(), Code::kCorrupt);
  EXPECT_EQ(UnpackViews(std::string(8, '\xFF')).code(), Code::kCorrupt);
}

class PruneTest : public testing::Test {
 protected:
  PruneTest() {
    Root root;
    root.name = "notes";
    root.path = "/notes";
    Get(catalog_->AddRoot(root));
  }

  void Add(int count) {
    for (int i = 0; i < count; ++i, ++files_) {
      const std::string path = std::to_string(files_);
      Get(catalog_->FilesPresent("notes", std::array{Fact(path)}));
      Commit commit;
      commit.token = {1, 1};
      commit.model_key = kModel;
      commit.content = Document(path, {"word"});
      const std::vector<File> pending = Get(catalog_->PendingFiles(0, 1));
      commit.file = pending.at(0).id;
      commit.version = pending.at(0).version;
      Get(catalog_->Apply(std::span(&commit, 1)));
    }
  }

  void Remove(int first, int count) {
    for (int i = first; i < first + count; ++i) {
      Expect(catalog_->FilesGone("notes", std::array{std::to_string(i)}));
    }
  }

  // Steps until there is nothing more to do; how many there were.
  int Prune(int64_t removals_max) {
    const std::unique_ptr<Sqlite> db = Get(Sqlite::Open(path_));
    for (int steps = 1;; ++steps) {
      bool more = false;
      Expect(db->Transact([&]() -> Result<> {
        more = TRY(PruneChanges(*db, removals_max));
        return Ok{};
      }));
      if (!more) return steps;
    }
  }

  int64_t RemovalsKept() {
    return Get(Get(Sqlite::Open(path_))->QueryInt("SELECT count(*) FROM changes WHERE removed=1"))
        .value_or(-1);
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/catalog.db";
  std::unique_ptr<Catalog> catalog_ = Get(Catalog::OpenSqlite(path_));
  int files_ = 0;
};

TEST_F(PruneTest, FewRemovalsAreKept) {
  Add(30);
  Remove(0, 10);
  Prune(10);
  EXPECT_EQ(RemovalsKept(), 10);
  // Many, but fewer than twice what is left.
  Prune(5);
  EXPECT_EQ(RemovalsKept(), 10);
}

TEST_F(PruneTest, ReplicasThatMissedForgottenRemovalsStartAgainAndOthersDoNot) {
  Add(40);
  Replica old_one;
  old_one.Follow(*catalog_);
  Remove(0, 20);
  Replica middle = old_one;
  middle.Follow(*catalog_);
  Remove(20, 15);
  Replica recent = middle;
  recent.Follow(*catalog_);
  Prune(20);
  EXPECT_EQ(RemovalsKept(), 10);

  old_one.Follow(*catalog_);
  EXPECT_EQ(old_one.restarts, 1);
  middle.Follow(*catalog_);
  EXPECT_EQ(middle.restarts, 1);
  recent.Follow(*catalog_);
  EXPECT_EQ(recent.restarts, 0);
  Replica fresh;
  fresh.Follow(*catalog_, kModel, 2);
  EXPECT_EQ(fresh.restarts, 0);
  EXPECT_THAT(fresh.vectors, SizeIs(5));
  EXPECT_EQ(old_one.vectors, fresh.vectors);
  EXPECT_EQ(middle.vectors, fresh.vectors);
  EXPECT_EQ(recent.vectors, fresh.vectors);
}

TEST_F(PruneTest, ChangesBetweenItsStepsAreNotLost) {
  Add(40);
  Remove(0, 36);
  Replica replica;
  replica.Follow(*catalog_);
  const std::unique_ptr<Sqlite> db = Get(Sqlite::Open(path_));
  bool more = true;
  while (more) {
    Expect(db->Transact([&]() -> Result<> {
      more = TRY(PruneChanges(*db, 10));
      return Ok{};
    }));
    Add(1);
    Remove(files_ - 2, 1);
    replica.Follow(*catalog_);
  }
  EXPECT_EQ(replica.restarts, 0);
  Replica fresh;
  fresh.Follow(*catalog_);
  EXPECT_EQ(replica.vectors, fresh.vectors);
}

}  // namespace
}  // namespace msearch::catalog
