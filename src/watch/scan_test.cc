// What scans find; changes are made while the monitor isn't running, or count only when scanned.
#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "base/strings.h"
#include "watch/monitor_fixture.h"
#include "watch/own_folder.h"

namespace msearch::watch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = Change::Kind;

class ScanTest : public MonitorFixture {};

TEST_F(ScanTest, ReportsEveryFileOnce) {
  Write("a.jpg", "a");
  Write("b/c/d.jpg", "d");
  Start();
  EXPECT_EQ(reporter_.Model("root"), Disk());
  EXPECT_EQ(reporter_.changes(), 2u);
  const RootStatus status = Scan();
  EXPECT_EQ(status.files, 2u);
  EXPECT_EQ(status.scan_files_seen, 2u);
  EXPECT_EQ(status.state, RootState::kWatching);
  EXPECT_EQ(status.watch, "inotify");
  EXPECT_TRUE(status.last_scan_at);
  EXPECT_EQ(reporter_.changes(), 2u);
}

TEST_F(ScanTest, UnchangedTreeOfTenThousandFilesReportsNothing) {
  // Names, not inodes, are what a scan compares; links are made and removed much faster.
  for (int i = 0; i < 100; ++i) Write("d" + std::to_string(i) + "/0", std::to_string(i));
  fs::create_directory(At("large"));  // more than what is compared at once
  for (int i = 100; i < 10'000; ++i) {
    const std::string d = "d" + std::to_string(i % 100) + "/";
    fs::create_hard_link(At(d + "0"), At((i < 5000 ? d : "large/") + std::to_string(i)));
  }
  Start();
  EXPECT_EQ(reporter_.Model("root"), Disk());
  reporter_.TakeChanges();
  EXPECT_EQ(Scan().scan_files_seen, 10'000u);
  OpenMonitor();
  EXPECT_EQ(Scan().files, 10'000u);
  EXPECT_EQ(reporter_.changes(), 0u);
}

TEST_F(ScanTest, FindsWhatChangedWhileNobodyWatched) {
  Write("changed", "1");
  Write("deleted", "2");
  Write("gone/with/its/directory", "3");
  Write("kept", "4");
  Start();
  CloseMonitor();
  reporter_.TakeChanges();
  Write("changed", "longer");
  Write("new", "5");
  fs::remove(At("deleted"));
  fs::remove_all(At("gone"));
  OpenMonitor();
  Scan();
  EXPECT_EQ(reporter_.Model("root"), Disk());
  EXPECT_EQ(reporter_.changes(), 4u);
  EXPECT_EQ(Status().files, 3u);
}

TEST_F(ScanTest, FullScanReportsUnchangedFilesToo) {
  Write("a", "a");
  Write("b", "b");
  Start();
  reporter_.TakeChanges();
  Scan(true);
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "a"), 1);
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "b"), 1);
}

TEST_F(ScanTest, RenamedFilesAndDirectoriesAreMoves) {
  Write("a", "a");
  for (int i = 0; i < 700; ++i) Write("z/deep/" + std::to_string(i), std::to_string(i));
  Start();
  CloseMonitor();
  reporter_.TakeChanges();
  Move("a", "renamed");
  Move("z", "before");  // found before it's missed; the reverse below
  OpenMonitor();
  Scan();
  EXPECT_TRUE(reporter_.HasMoved("a", "renamed"));
  EXPECT_TRUE(reporter_.HasMoved("z/deep/699", "before/deep/699"));
  EXPECT_EQ(reporter_.changes(), 701u);
  CloseMonitor();
  reporter_.TakeChanges();
  Move("before", "zz");
  OpenMonitor();
  Scan();
  EXPECT_TRUE(reporter_.HasMoved("before/deep/0", "zz/deep/0"));
  EXPECT_EQ(reporter_.changes(), 700u);
  EXPECT_EQ(reporter_.Model("root"), Disk());
}

TEST_F(ScanTest, CopiesAndHardLinksAreNoMoves) {
  Write("a", "same");
  Start();
  CloseMonitor();
  reporter_.TakeChanges();
  fs::copy(At("a"), At("copy"));
  fs::create_hard_link(At("a"), At("link"));
  OpenMonitor();
  Scan();
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "copy"), 1);
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "link"), 1);
  EXPECT_EQ(reporter_.changes(), 2u);
}

TEST_F(ScanTest, HardLinksAreMovedOnlyWhenItIsClearWhich) {
  Write("d/one", "same");
  fs::create_hard_link(At("d/one"), At("d/two"));
  Start();
  CloseMonitor();
  reporter_.TakeChanges();
  Move("d", "e");
  OpenMonitor();
  Scan();
  EXPECT_TRUE(reporter_.HasMoved("d/one", "e/one"));
  EXPECT_TRUE(reporter_.HasMoved("d/two", "e/two"));
  CloseMonitor();
  reporter_.TakeChanges();
  Move("e/one", "e/three");
  Move("e/two", "e/four");
  OpenMonitor();
  Scan();
  // Which of both was three can't be said; the last one left is clear.
  for (const Change& change : reporter_.TakeChanges()) EXPECT_NE(change.path, change.old_path);
  EXPECT_EQ(reporter_.Model("root"), Disk());
}

TEST_F(ScanTest, ChainsAndSwapsOfNamesAddUp) {
  for (int i = 0; i < 9; ++i) Write(std::to_string(i), std::string(static_cast<size_t>(i), 'x'));
  Start();
  CloseMonitor();
  for (int i = 8; i >= 0; --i) Move(std::to_string(i), std::to_string(i + 1));
  Move("9", "t");
  Move("3", "9");
  Move("t", "3");
  OpenMonitor();
  Scan();
  EXPECT_EQ(reporter_.Model("root"), Disk());
}

// Random changes, some watched and some not: what the reports add up to is what is on disk.
TEST_F(ScanTest, RandomChangesAddUp) {
  std::mt19937 random(20240607);
  const auto path = [&] {
    std::string p;
    for (auto depth = random() % 3; depth > 0; --depth)
      p += "d" + std::to_string(random() % 3) + "/";
    return p;
  };
  const auto file = [&] { return path() + "f" + std::to_string(random() % 8); };
  Start();
  for (int round = 0; round < 12; ++round) {
    const bool watched = round % 2 == 0;
    if (!watched) CloseMonitor();
    for (int i = 0; i < 40; ++i) {
      std::error_code ignored;
      switch (random() % 5) {
        case 0:
          fs::remove_all(At(random() % 8 == 0 ? path() : file()), ignored);
          break;
        case 1:
        case 2:
          fs::create_directories(fs::path(At(file())).parent_path(), ignored);
          fs::rename(At(file()), At(file()), ignored);
          break;
        case 3:
          fs::rename(At(path() + "d0"), At(path() + "d1"), ignored);
          break;
        default:
          Write(file(), std::string(random() % 100, 'x'));
      }
      if (!fs::exists(root_)) fs::create_directory(root_);
    }
    if (!watched) OpenMonitor();
    Scan();
    EXPECT_EQ(reporter_.Model("root"), Disk()) << "round " << round;
    EXPECT_EQ(Status().files, Disk().size());
  }
}

TEST_F(ScanTest, WhatIsExcludedLaterIsGone) {
  Write("a.jpg", "");
  Write("a.TXT", "");
  Write("private/b.jpg", "");
  Write("private/deep/c.jpg", "");
  Write("public/d.jpg", "");
  Write(".hidden/e.jpg", "");
  Start();
  EXPECT_THAT(reporter_.Paths("root"),
              ElementsAre("a.TXT", "a.jpg", "private/b.jpg", "private/deep/c.jpg", "public/d.jpg"));
  RootSpec spec = Spec();
  spec.exclude = {"private"};
  Start(spec);
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a.TXT", "a.jpg", "public/d.jpg"));
  spec.extensions = {".txt"};
  Start(spec);
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a.TXT"));
  spec = Spec();
  spec.recursive = false;
  Start(spec);
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a.TXT", "a.jpg"));
  spec = Spec();
  spec.include = {"private/**"};
  spec.hidden = true;
  Start(spec);
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("private/b.jpg", "private/deep/c.jpg"));
  spec.include = {};
  Start(spec);
  EXPECT_EQ(reporter_.Model("root"), Disk());
}

TEST_F(ScanTest, OwnFolderIsLeftOutHoweverItIsReached) {
  Write("a", "x");
  Write("data/b", "y");
  Write("data/deep/c", "z");
  fs::create_directory_symlink(At("data"), At("to_data"));
  fs::create_directory_symlink(At("data/deep"), At("to_deep"));
  RootSpec spec = Spec();
  spec.follow_links = true;
  Start(spec);
  EXPECT_EQ(reporter_.Paths("root").size(), 6u);
  CloseMonitor();
  own_folder_ = At("to_data");
  Start(spec);
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a"));
  EXPECT_EQ(Status().files, 1u);
  reporter_.TakeChanges();
  Scan(true);
  EXPECT_EQ(reporter_.changes(), 1u);
}

TEST_F(ScanTest, AFolderWithTheMarkOfADataFolderIsLeftOut) {
  Write("a", "x");
  Write("data/b", "y");
  Write("data/deep/c", "z");
  RootSpec spec = Spec();
  spec.hidden = true;
  Start(spec);
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a", "data/b", "data/deep/c"));
  CloseMonitor();
  Write("data/" + std::string(kDataFolderMark), "");  // what was indexed before is gone
  Start(spec);
  Scan();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a"));
  EXPECT_EQ(MarkedFolderAround(At("data/deep")), At("data"));
  EXPECT_EQ(MarkedFolderAround(root_), "");
}

TEST_F(ScanTest, RootInsideTheOwnFolderBecomesEmpty) {
  Write("a", "x");
  Write("b/c", "y");
  Start();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a", "b/c"));
  for (const std::string& own : {root_, directory_.path()}) {
    CloseMonitor();
    own_folder_ = own;
    Start();
    EXPECT_THAT(reporter_.Paths("root"), IsEmpty()) << own;
    EXPECT_EQ(Scan().state, RootState::kWatching);
  }
  CloseMonitor();
  own_folder_.clear();
  Start();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a", "b/c"));
}

TEST_F(ScanTest, LinksAreFollowedOnlyWhenWantedAndLoopsEnd) {
  Write("a/file", "x");
  fs::create_directory(directory_.path() + "/elsewhere");
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/elsewhere/f", "far").ok());
  fs::create_directory_symlink(root_, At("a/up"));
  fs::create_directory_symlink(At("a"), At("a/self"));
  fs::create_directory_symlink(directory_.path() + "/elsewhere", At("away"));
  fs::create_symlink(At("a/file"), At("to_file"));
  fs::create_symlink(At("nothing"), At("dangling"));
  fs::create_symlink(At("turning"), At("turning"));
  Start();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a/file"));
  RootSpec spec = Spec();
  spec.follow_links = true;
  Start(spec);
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a/file", "away/f", "to_file"));
  reporter_.TakeChanges();
  fs::create_hard_link(At("a/file"), At("a/other"));
  Scan();  // not what to_file was, though that has the same inode
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "a/other"), 1);
  EXPECT_EQ(reporter_.changes(), 1u);
  fs::remove(At("a/other"));
  fs::remove(At("away"));
  Scan();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a/file", "to_file"));
  Start(Spec());
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a/file"));
}

TEST_F(ScanTest, LinksThatMultiplyAreBounded) {
  for (int i = 0; i < 6; ++i) Write("d" + std::to_string(i) + "/f", "x");
  for (int i = 0; i < 6; ++i) {
    for (int j = 0; j < 6; ++j) {
      fs::create_directory_symlink(At("d" + std::to_string(j)),
                                   At("d" + std::to_string(i) + "/to" + std::to_string(j)));
    }
  }
  RootSpec spec = Spec();
  spec.follow_links = true;
  Start(spec);
  for (const std::string& path : reporter_.Paths("root")) {
    EXPECT_LE(std::ranges::count(path, '/'), 5) << path;
  }
}

TEST_F(ScanTest, SpecialFilesAreNeverOpened) {
  ASSERT_EQ(mkfifo(At("fifo").c_str(), 0644), 0);
  Write("file", "x");
  Start();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("file"));
  fs::remove(At("file"));
  ASSERT_EQ(mkfifo(At("file").c_str(), 0644), 0);
  Scan();
  EXPECT_THAT(reporter_.Paths("root"), IsEmpty());
}

TEST_F(ScanTest, NamesThatAreNoUtf8SurviveTheWayThroughJson) {
  const std::string name = "b\xFF\xFE/\xC3(.jpg";
  Write(name, "x");
  Write("\xE5\x9B\xBE/\xE7\x8C\xAB.jpg", "y");
  Start();
  EXPECT_EQ(reporter_.Model("root"), Disk());
  CloseMonitor();
  Move(name, "b\xFF\xFE/moved\xFF");
  reporter_.TakeChanges();
  OpenMonitor();
  Scan();
  const std::vector<Change> changes = reporter_.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  const Result<Json> json = ParseJson(DumpJson(changes[0].ToJson()));
  ASSERT_TRUE(json.ok());
  const Result<Change> back = Change::FromJson(*json);
  ASSERT_TRUE(back.ok()) << back.message();
  EXPECT_EQ(back->kind, Kind::kMoved);
  EXPECT_EQ(back->old_path, name);
  EXPECT_EQ(back->path, "b\xFF\xFE/moved\xFF");
  EXPECT_EQ(back->inode, changes[0].inode);
  EXPECT_EQ(back->modified_ns, changes[0].modified_ns);
}

TEST_F(ScanTest, FileThatBecameADirectoryIsGoneAndTheReverse) {
  Write("a", "x");
  Write("b/c", "y");
  Start();
  CloseMonitor();
  fs::remove(At("a"));
  Write("a/inner", "x");
  fs::remove_all(At("b"));
  Write("b", "y");
  OpenMonitor();
  Scan();
  EXPECT_EQ(reporter_.Model("root"), Disk());
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a/inner", "b"));
}

TEST_F(ScanTest, RootMovedElsewhereKeepsItsFiles) {
  Write("a/b", "x");
  Start();
  reporter_.TakeChanges();
  fs::rename(root_, directory_.path() + "/other");
  RootSpec spec = Spec();
  spec.path = directory_.path() + "/other";
  Start(spec);
  EXPECT_EQ(reporter_.changes(), 0u);
  EXPECT_EQ(Status().files, 1u);
}

}  // namespace
}  // namespace msearch::watch
