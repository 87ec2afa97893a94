// Changes noticed while they happen: the periodic scan is an hour away.
#include <sys/inotify.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "watch/monitor_fixture.h"
#include "watch/own_folder.h"

namespace msearch::watch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = Change::Kind;

class WatchTest : public MonitorFixture {
 protected:
  bool ModelBecomesDisk() {
    return Eventually([&] { return reporter_.Model("root") == Disk(); });
  }
};

TEST_F(WatchTest, NewChangedAndDeletedFilesAreReported) {
  Start();
  Write("a", "1");
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "a") == 1; }));
  Write("a", "longer");
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "a") == 2; }));
  fs::remove(At("a"));
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kGone, "a") == 1; }));
  EXPECT_EQ(Status().files, 0u);
}

TEST_F(WatchTest, RenamedFileIsMoved) {
  Write("a", "1");
  Write("d/b", "2");
  Start();
  reporter_.TakeChanges();
  Move("a", "d/c");
  ASSERT_TRUE(Eventually([&] { return reporter_.HasMoved("a", "d/c"); }));
  EXPECT_EQ(reporter_.changes(), 1u);
}

TEST_F(WatchTest, RenamedDirectoryMovesItsFilesAndStaysWatched) {
  for (int i = 0; i < 20; ++i) Write("a/b/" + std::to_string(i), "x");
  Start();
  reporter_.TakeChanges();
  Move("a", "z");
  ASSERT_TRUE(Eventually([&] { return reporter_.changes() == 20; }));
  EXPECT_TRUE(reporter_.HasMoved("a/b/7", "z/b/7"));
  Write("z/b/new", "y");
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "z/b/new") == 1; }));
  Write("a/b/again", "y");  // another directory of the old name
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "a/b/again") == 1; }));
  EXPECT_EQ(reporter_.changes(), 22u);
}

TEST_F(WatchTest, DirectoryMovedOutIsGoneAndMovedInIsPresent) {
  Write("a/b/c", "x");
  Start();
  fs::rename(At("a"), directory_.path() + "/out");
  ASSERT_TRUE(Eventually([&] { return reporter_.Paths("root").empty(); }));
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/out/b/unseen", "y").ok());
  fs::rename(directory_.path() + "/out", At("in"));
  ASSERT_TRUE(ModelBecomesDisk());
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("in/b/c", "in/b/unseen"));
}

TEST_F(WatchTest, FilesInDirectoriesMadeAtOnceAreFound) {
  Start();
  for (int i = 0; i < 30; ++i) {
    Write("x" + std::to_string(i) + "/y/z/" + std::to_string(i), "x");
  }
  EXPECT_TRUE(ModelBecomesDisk());
  EXPECT_EQ(Status().files, 30u);
}

TEST_F(WatchTest, GrowingFileIsReportedOnceWhenItHoldsStill) {
  settle_ = Milliseconds(200);
  Start();
  // On a busy machine this very process may pause for longer than a file has to hold still, and
  // then the file is rightly reported: such a round says nothing, so another one is tried.
  for (int round = 0; round < 10; ++round) {
    const std::string name = "growing" + std::to_string(round);
    const Result<Fd> fd = OpenFile(At(name), O_WRONLY | O_CREAT | O_APPEND);
    ASSERT_TRUE(fd.ok());
    uint64_t size = 0;
    bool paused = false;
    auto written_at = std::chrono::steady_clock::now();
    // Grown by what else happens: each of these is reported long before the grown one may be.
    for (int i = 0; i < 5; ++i) {
      const std::string marker = name + "marker" + std::to_string(i);
      const auto grow = [&] {
        EXPECT_TRUE(WriteAll(fd->get(), "more").ok());
        size += 4;
        const auto now = std::chrono::steady_clock::now();
        paused |= now - std::exchange(written_at, now) > settle_ / 2;
        return reporter_.Count(Kind::kPresent, marker) > 0;
      };
      Write(marker, "x");
      ASSERT_TRUE(Eventually(grow));
    }
    const int early = static_cast<int>(reporter_.Count(Kind::kPresent, name));
    paused |= std::chrono::steady_clock::now() - written_at > settle_ / 2;
    if (paused) continue;
    EXPECT_EQ(early, 0);
    ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, name) > 0; }));
    EXPECT_EQ(reporter_.Count(Kind::kPresent, name), 1);
    EXPECT_EQ(std::get<1>(reporter_.Model("root")[name]), size);
    return;
  }
  GTEST_SKIP() << "this machine is too busy to keep a file growing";
}

TEST_F(WatchTest, ReplacedFileIsReportedAsChanged) {
  Write("a", "old");
  Start();
  reporter_.TakeChanges();
  ASSERT_TRUE(WriteFileAtomically(At("a"), "new").ok());
  ASSERT_TRUE(ModelBecomesDisk());
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "a"), 1);
}

TEST_F(WatchTest, LostNoticesAreMadeGoodByAScan) {
  const Result<std::string> limit = ReadFile("/proc/sys/fs/inotify/max_queued_events");
  const int events_max = limit.ok() ? std::stoi(*limit) : 16384;
  if (events_max > 100'000) GTEST_SKIP() << "the kernel's queue is too long to be overfilled";
  Write("first", "x");
  Start();
  reporter_.Close();
  Write("second", "x");
  ASSERT_TRUE(Eventually([&] { return reporter_.waiting() == 1; }));
  // Nobody reads notices now. Notices that repeat the last one are merged, so two files take turns.
  const Result<Fd> one = OpenFile(At("one"), O_WRONLY | O_CREAT);
  const Result<Fd> two = OpenFile(At("two"), O_WRONLY | O_CREAT);
  ASSERT_TRUE(one.ok() && two.ok());
  for (int i = 0; i <= events_max / 2; ++i) {
    ASSERT_TRUE(WriteAll(one->get(), "x").ok() && WriteAll(two->get(), "x").ok());
  }
  fs::remove(At("first"));
  Write("unnoticed", "x");
  reporter_.Open();
  EXPECT_TRUE(ModelBecomesDisk());
}

TEST_F(WatchTest, RunningOutOfWatchesFallsBackToPollingAndSaysSo) {
  for (int i = 0; i < 10; ++i) Write("d" + std::to_string(i) + "/f", "x");
  faults_->LimitWatches(5);
  RootSpec spec = Spec();
  spec.scan_interval_s = 1;
  Start(spec);
  EXPECT_EQ(Status().state, RootState::kPolling);
  EXPECT_EQ(Status().watch, "polling");
  EXPECT_THAT(Status().reason, HasSubstr("max_user_watches"));
  EXPECT_EQ(reporter_.Model("root"), Disk());
  Write("d3/new", "y");
  EXPECT_TRUE(ModelBecomesDisk());
}

TEST_F(WatchTest, RunningOutOfWatchesLaterFallsBackToPollingToo) {
  faults_->LimitWatches(3);
  RootSpec spec = Spec();
  spec.scan_interval_s = 1;
  Start(spec);
  EXPECT_EQ(Status().watch, "inotify");
  for (int i = 0; i < 5; ++i) Write("d" + std::to_string(i) + "/f", "x");
  EXPECT_TRUE(Eventually([&] { return Status().watch == "polling"; }));
  EXPECT_TRUE(ModelBecomesDisk());
}

TEST_F(WatchTest, FileSystemsWhereWatchingIsBlindArePolled) {
  faults_->PretendKind({"nfs", "changes made elsewhere aren't seen"});
  RootSpec spec = Spec();
  spec.scan_interval_s = 1;
  Start(spec);
  EXPECT_EQ(Status().state, RootState::kPolling);
  EXPECT_EQ(Status().watch, "polling");
  EXPECT_EQ(Status().reason, "nfs: changes made elsewhere aren't seen");
  Write("a", "x");
  EXPECT_TRUE(ModelBecomesDisk());
}

TEST_F(WatchTest, DirectoryThatBecomesReadableIsRead) {
  Write("b/c", "x");
  faults_->FailOpen("b", EACCES);
  Start();
  EXPECT_EQ(Status().unreadable, 1u);
  faults_->FailOpen("b", 0);
  fs::permissions(At("b"), fs::perms::owner_all);
  fs::permissions(At("b"), fs::perms::owner_all | fs::perms::group_all);
  EXPECT_TRUE(ModelBecomesDisk());
  EXPECT_TRUE(Eventually([&] { return Status().unreadable == 0; }));
}

TEST_F(WatchTest, ExcludedNamesAreNotNoticed) {
  RootSpec spec = Spec();
  spec.extensions = {".jpg"};
  spec.exclude = {"skip/"};
  Start(spec);
  Write("a.tmp", "x");
  Write("skip/a.jpg", "x");
  Write(".a.jpg", "x");
  Write("a.jpg", "x");
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "a.jpg") == 1; }));
  Move("a.jpg", "a.bak");
  EXPECT_TRUE(Eventually([&] { return reporter_.Paths("root").empty(); }));
  EXPECT_EQ(reporter_.changes(), 2u);
}

TEST_F(WatchTest, OwnFolderIsNotWatched) {
  fs::create_directory(At("data"));
  own_folder_ = At("data");
  Start();
  Write("data/a", "x");
  Write("data/new/b", "x");
  Write("c", "x");
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "c") == 1; }));
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("c"));
  Write("data/new/b", "xy");
  Write("d", "x");
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "d") == 1; }));
  EXPECT_EQ(reporter_.changes(), 2u);
}

TEST_F(WatchTest, AFolderThatGetsTheMarkOfADataFolderIsNotWatchedAnyMore) {
  Start();
  Write("data/a", "x");
  Write("data/new/b", "x");
  ASSERT_TRUE(Eventually([&] { return reporter_.Paths("root").size() == 2; }));
  Write("data/" + std::string(kDataFolderMark), "");
  ASSERT_TRUE(Eventually([&] { return reporter_.Paths("root").empty(); }));
  reporter_.TakeChanges();
  Write("data/new/c", "x");
  Write("d", "x");
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "d") == 1; }));
  EXPECT_EQ(reporter_.changes(), 1u);

  fs::remove(At("data/" + std::string(kDataFolderMark)));
  Scan();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("d", "data/a", "data/new/b", "data/new/c"));
}

TEST_F(WatchTest, LinkedDirectoriesAreWatchedToo) {
  fs::create_directory(directory_.path() + "/far");
  RootSpec spec = Spec();
  spec.follow_links = true;
  Start(spec);
  fs::create_directory_symlink(directory_.path() + "/far", At("near"));
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/far/one", "x").ok());
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "near/one") == 1; }));
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/far/two", "x").ok());
  ASSERT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "near/two") == 1; }));
  fs::remove(At("near"));
  EXPECT_TRUE(Eventually([&] { return reporter_.Paths("root").empty(); }));
}

}  // namespace
}  // namespace msearch::watch
