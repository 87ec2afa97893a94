// Roots that can't be reached or read, reports that fail, and the monitor's own life.
#include <sys/mount.h>

#include <thread>

#include "watch/monitor_fixture.h"

namespace msearch::watch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = Change::Kind;

class MonitorTest : public MonitorFixture {};

TEST_F(MonitorTest, UnreachableRootFreezesDeletionsAndComesBackByItself) {
  Write("a/b", "x");
  Write("c", "y");
  Start();
  reporter_.TakeChanges();
  fs::rename(root_, root_ + "-away");
  EXPECT_EQ(Scan().state, RootState::kUnreachable);
  EXPECT_THAT(Status().reason, HasSubstr(root_));
  EXPECT_FALSE(reporter_.ends().back().second);
  EXPECT_EQ(Status().files, 2u);
  fs::remove(root_ + "-away/c");
  fs::rename(root_ + "-away", root_);
  ASSERT_TRUE(Eventually([&] { return Status().state == RootState::kWatching; }));
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a/b"));
  EXPECT_EQ(reporter_.changes(), 1u);
  EXPECT_TRUE(reporter_.ends().back().second);
  Write("new", "z");  // it's watched again
  EXPECT_TRUE(Eventually([&] { return reporter_.Count(Kind::kPresent, "new") == 1; }));
}

TEST_F(MonitorTest, RootThatVanishesWhileWatchedBecomesUnreachable) {
  Write("a", "x");
  Start();
  reporter_.TakeChanges();
  fs::rename(root_, root_ + "-away");
  EXPECT_TRUE(Eventually([&] { return Status().state == RootState::kUnreachable; }));
  EXPECT_EQ(reporter_.changes(), 0u);
  fs::create_directory(root_);
  // A directory of the same disk that is there and empty: the files are gone for good.
  EXPECT_TRUE(Eventually([&] { return reporter_.Paths("root").empty(); }));
}

TEST_F(MonitorTest, FaultsOfTheRootItselfMakeItUnreachable) {
  Write("a", "x");
  Start();
  for (const int error : {EIO, ESTALE, ENOTCONN, EACCES}) {
    faults_->FailOpen(root_, error);
    EXPECT_EQ(Scan().state, RootState::kUnreachable);
    faults_->FailOpen(root_, 0);
    ASSERT_TRUE(Eventually([&] { return Status().state == RootState::kWatching; }));
  }
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a"));
}

TEST_F(MonitorTest, UnpluggedDiskIsNoMassDeletion) {
  if (mount("none", root_.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "can't mount a file system here: " << strerror(errno);
  }
  Write("a", "x");
  Write("b/c", "y");
  Start();
  reporter_.TakeChanges();
  ASSERT_EQ(umount(root_.c_str()), 0) << strerror(errno);
  EXPECT_TRUE(Eventually([&] { return Status().state == RootState::kUnreachable; }));
  OpenMonitor();
  EXPECT_EQ(Scan().state, RootState::kUnreachable);
  EXPECT_THAT(Status().reason, HasSubstr("mounted"));
  EXPECT_EQ(reporter_.changes(), 0u);
  ASSERT_EQ(mount("none", root_.c_str(), "tmpfs", 0, "size=1m"), 0);
  Write("other", "z");
  EXPECT_TRUE(
      Eventually([&] { return reporter_.Paths("root") == std::set<std::string>{"other"}; }));
  CloseMonitor();
  ASSERT_EQ(umount(root_.c_str()), 0) << strerror(errno);
}

TEST_F(MonitorTest, DiskMountedBelowTheRootMayGoAwayToo) {
  Write("a", "x");
  fs::create_directory(At("disk"));
  if (mount("none", At("disk").c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "can't mount a file system here: " << strerror(errno);
  }
  Write("disk/b/c", "y");
  Start();
  reporter_.TakeChanges();
  ASSERT_EQ(umount(At("disk").c_str()), 0) << strerror(errno);
  RootStatus status = Scan();
  EXPECT_EQ(status.unreadable, 1u);
  EXPECT_THAT(status.reason, HasSubstr("disk: what was mounted here is away"));
  fs::remove(At("disk"));  // as desktops do
  EXPECT_EQ(Scan().unreadable, 1u);
  EXPECT_EQ(reporter_.changes(), 0u);
  EXPECT_EQ(Status().files, 2u);
}

TEST_F(MonitorTest, DirectoryThatCantBeReadKeepsWhatWasKnownBelow) {
  Write("a", "x");
  Write("b/c/d", "y");
  Start();
  CloseMonitor();
  reporter_.TakeChanges();
  fs::remove(At("b/c/d"));
  fs::remove(At("a"));
  faults_->FailOpen("b", EACCES);
  OpenMonitor();
  const RootStatus status = Scan();
  EXPECT_EQ(status.unreadable, 1u);
  EXPECT_THAT(status.reason, HasSubstr("b: Permission denied"));
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("b/c/d"));
  EXPECT_TRUE(reporter_.ends().back().second);
  faults_->FailOpen("b", 0);
  EXPECT_EQ(Scan().unreadable, 0u);
  EXPECT_THAT(reporter_.Paths("root"), IsEmpty());
}

TEST_F(MonitorTest, ListingThatBreaksOffMeansNothing) {
  Write("b/one", "x");
  Write("b/two", "y");
  Start();
  reporter_.TakeChanges();
  faults_->FailListingWith("one");
  fs::remove(At("b/two"));
  EXPECT_EQ(Scan().unreadable, 1u);
  EXPECT_EQ(reporter_.Count(Kind::kGone, "b/one"), 0);
  faults_->FailListingWith("");
  Scan();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("b/one"));
}

TEST_F(MonitorTest, HangingRootBlocksOnlyItself) {
  Write("a", "x");
  fs::create_directory(directory_.path() + "/other");
  faults_->Hang(directory_.path() + "/other", true);
  OpenMonitor();
  RootSpec other = Spec();
  other.name = "other";
  other.path = directory_.path() + "/other";
  ASSERT_TRUE(monitor_->Watch(other).ok());
  Start();
  EXPECT_THAT(reporter_.Paths("root"), ElementsAre("a"));
  ASSERT_TRUE(Eventually([&] { return Status().state == RootState::kUnreachable; }));  // "other"
  EXPECT_THAT(Status().reason, HasSubstr("no answer"));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(monitor_->Scan("other", false, stop.get_token()).code(), Code::kCancelled);
  EXPECT_TRUE(monitor_->Unwatch("other").ok());
  CloseMonitor();
  faults_->Hang(directory_.path() + "/other", false);
  EXPECT_TRUE(Eventually([&] { return faults_->hanging() == 0; }));
}

TEST_F(MonitorTest, FailedReportIsMadeAgainUntilItSucceeds) {
  Write("a", "x");
  Write("b", "y");
  reporter_.FailNext(2);
  Start();
  EXPECT_EQ(reporter_.reports(), 3);
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "a"), 3);
  Scan();
  EXPECT_EQ(reporter_.reports(), 3);
}

TEST_F(MonitorTest, ReportThatWasCutOffFromTheSnapshotIsMadeAgain) {
  Write("a", "x");
  Write("b", "y");
  Start();
  CloseMonitor();
  reporter_.TakeChanges();
  Move("a", "moved");
  fs::remove(At("b"));
  Write("new", "z");
  reporter_.FailNext(1'000'000);
  OpenMonitor();
  ASSERT_TRUE(Eventually([&] { return reporter_.reports() > 1; }));
  CloseMonitor();  // while it still tries
  reporter_.FailNext(0);
  reporter_.TakeChanges();
  OpenMonitor();
  Scan();
  EXPECT_TRUE(reporter_.HasMoved("a", "moved"));
  EXPECT_EQ(reporter_.Count(Kind::kGone, "b"), 1);
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "new"), 1);
  EXPECT_EQ(reporter_.Model("root"), Disk());
}

TEST_F(MonitorTest, UnwatchForgetsTheRootAndReportsNothing) {
  Write("a", "x");
  Start();
  reporter_.TakeChanges();
  ASSERT_TRUE(monitor_->Unwatch("root").ok());
  EXPECT_EQ(monitor_->Unwatch("root").code(), Code::kNotFound);
  EXPECT_EQ(monitor_->Scan("root", false, {}).code(), Code::kNotFound);
  EXPECT_THAT(monitor_->Status(), IsEmpty());
  OpenMonitor();
  EXPECT_THAT(monitor_->Status(), IsEmpty());
  EXPECT_EQ(reporter_.changes(), 0u);
  Start();
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "a"), 1);
}

TEST_F(MonitorTest, PausedRootIsNeitherScannedNorWatched) {
  Write("a", "x");
  Start();
  RootSpec spec = Spec();
  spec.paused = true;
  ASSERT_TRUE(monitor_->Watch(spec).ok());
  ASSERT_TRUE(Eventually([&] { return Status().state == RootState::kPaused; }));
  EXPECT_EQ(monitor_->Scan("root", false, {}).code(), Code::kConflict);
  reporter_.TakeChanges();
  Write("b", "y");
  OpenMonitor();
  ASSERT_TRUE(Eventually([&] { return Status().state == RootState::kPaused; }));
  EXPECT_EQ(reporter_.changes(), 0u);
  Start();
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "b"), 1);
}

TEST_F(MonitorTest, SameDefinitionAgainDoesNothing) {
  Write("a", "x");
  Start();
  const size_t ends = reporter_.ends().size();
  ASSERT_TRUE(monitor_->Watch(Spec()).ok());
  Scan();
  EXPECT_EQ(reporter_.ends().size(), ends + 1);
}

TEST_F(MonitorTest, WrongDefinitionsAreRefused) {
  OpenMonitor();
  RootSpec spec = Spec();
  spec.path = "relative";
  EXPECT_EQ(monitor_->Watch(spec).code(), Code::kInvalid);
  spec = Spec();
  spec.extensions = {"jpg"};
  EXPECT_EQ(monitor_->Watch(spec).code(), Code::kInvalid);
  spec = Spec();
  spec.name = "";
  EXPECT_EQ(monitor_->Watch(spec).code(), Code::kInvalid);
}

TEST_F(MonitorTest, StopsInTheMiddleOfAScan) {
  for (int i = 0; i < 3000; ++i) Write("d" + std::to_string(i % 10) + "/" + std::to_string(i), "");
  reporter_.Close();
  OpenMonitor();
  ASSERT_TRUE(monitor_->Watch(Spec()).ok());
  ASSERT_TRUE(Eventually([&] { return reporter_.waiting() == 1; }));
  std::jthread closer([&] { CloseMonitor(); });
  reporter_.Open();
  closer.join();
  EXPECT_LT(reporter_.changes(), 3000u);
  OpenMonitor();
  Scan();
  EXPECT_EQ(reporter_.Model("root"), Disk());
}

TEST_F(MonitorTest, DamagedSnapshotIsPutAsideAndSecondMonitorRefused) {
  Write("a", "x");
  Start();
  EXPECT_EQ(Monitor::Open(Options(), &reporter_).code(), Code::kConflict);
  CloseMonitor();
  reporter_.TakeChanges();
  const std::string database = Options().database;
  ASSERT_TRUE(WriteFileAtomically(database, std::string(8192, '?')).ok());
  Start();
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "a"), 1);
  EXPECT_TRUE(fs::exists(database + ".corrupt"));
}

TEST_F(MonitorTest, TwoRootsOfOneNameSpaceDontMeet) {
  Write("a/x", "x");
  Write("b/y", "y");
  OpenMonitor();
  RootSpec a = Spec();
  a.name = "a";
  a.path = At("a");
  RootSpec b = Spec();
  b.name = "b";
  b.path = At("b");
  ASSERT_TRUE(monitor_->Watch(a).ok());
  ASSERT_TRUE(monitor_->Watch(b).ok());
  ASSERT_TRUE(monitor_->Scan("a", false, {}).ok());
  ASSERT_TRUE(monitor_->Scan("b", false, {}).ok());
  Move("a/x", "b/x");
  ASSERT_TRUE(monitor_->Scan("b", false, {}).ok());
  ASSERT_TRUE(monitor_->Scan("a", false, {}).ok());
  EXPECT_THAT(reporter_.Paths("a"), IsEmpty());
  EXPECT_THAT(reporter_.Paths("b"), ElementsAre("x", "y"));
  EXPECT_EQ(reporter_.Count(Kind::kPresent, "x"), 2);
}

TEST(RootSpecTest, SurvivesTheWayThroughJson) {
  RootSpec spec;
  spec.name = "n";
  spec.path = "/p\xFF";
  spec.recursive = false;
  spec.extensions = {".jpg"};
  spec.include = {"a/**"};
  spec.exclude = {"b"};
  spec.follow_links = true;
  spec.hidden = true;
  spec.scan_interval_s = 7;
  spec.paused = true;
  const Result<Json> json = ParseJson(DumpJson(spec.ToJson()));
  ASSERT_TRUE(json.ok());
  const Result<RootSpec> back = RootSpec::FromJson(*json);
  ASSERT_TRUE(back.ok()) << back.message();
  EXPECT_EQ(*back, spec);
  EXPECT_EQ(RootSpec::FromJson(Json{{"name", "n"}}).code(), Code::kInvalid);
  EXPECT_EQ(RootSpec::FromJson(Json("text")).code(), Code::kInvalid);
}

TEST(ChangeTest, BrokenJsonIsRefused) {
  EXPECT_EQ(Change::FromJson(Json{{"kind", "eaten"}, {"path", "a"}}).code(), Code::kInvalid);
  EXPECT_EQ(Change::FromJson(Json{{"kind", "present"}, {"path", "a"}}).code(), Code::kInvalid);
  EXPECT_EQ(Change::FromJson(Json{{"kind", "gone"}, {"path_base64", "?"}}).code(), Code::kInvalid);
  EXPECT_TRUE(Change::FromJson(Json{{"kind", "gone"}, {"path", "a"}}).ok());
}

}  // namespace
}  // namespace msearch::watch
