#include <gmock/gmock.h>

#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

Root NamedRoot(const std::string& name, const std::string& path) {
  Root root;
  root.name = name;
  root.path = path;
  return root;
}

RootCounts CountsOf(const Catalog& catalog, const std::string& root) {
  return Get(catalog.CountsByRoot())[root];
}

}  // namespace

TEST_P(CatalogConformance, RootsMayNotShareNamesOrPathsOrLieInEachOther) {
  Get(catalog_->AddRoot(NamedRoot("a", "/data/a")));
  for (const Root& root :
       {NamedRoot("a", "/other"), NamedRoot("b", "/data/a"), NamedRoot("b", "/data/a/"),
        NamedRoot("b", "/data/a/sub"), NamedRoot("b", "/data"), NamedRoot("b", "/")}) {
    const Result<Root> added = catalog_->AddRoot(root);
    ASSERT_FALSE(added.ok()) << root.path;
    EXPECT_EQ(added.code(), Code::kConflict) << root.path;
  }
  EXPECT_TRUE(catalog_->AddRoot(NamedRoot("b", "/data/ab")).ok());
  EXPECT_EQ(catalog_->AddRoot(NamedRoot("c", "relative")).code(), Code::kInvalid);
}

TEST_P(CatalogConformance, RootKeepsWhatWasUpdated) {
  AddRoot("photos");
  Root root = Get(catalog_->GetRoot("photos"));
  EXPECT_EQ(root.created_at, state_->clock().NowMs());
  root.origin = "config";
  root.options = {{"exclude", {"*.tmp"}}};
  root.paused = true;
  root.state = "paused";
  root.status = {{"files", 3}};
  Expect(catalog_->UpdateRoot(root));
  Reopen();
  const Root read = Get(catalog_->GetRoot("photos"));
  EXPECT_EQ(read.origin, "config");
  EXPECT_EQ(read.options, root.options);
  EXPECT_TRUE(read.paused);
  EXPECT_EQ(read.state, "paused");
  EXPECT_EQ(read.status, root.status);
  EXPECT_EQ(catalog_->UpdateRoot(NamedRoot("none", "/none")).code(), Code::kNotFound);
}

TEST_P(CatalogConformance, OnlyNewAndChangedFilesBecomePending) {
  AddRoot("photos");
  const std::vector<FileFact> facts = {Fact("a.jpg"), Fact("b.jpg"), Fact("c.jpg"), Fact("d.jpg")};
  EXPECT_EQ(Get(catalog_->FilesPresent("photos", facts)), 4);
  for (const char* path : {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}) {
    Index("photos", path, Picture(path));
  }
  EXPECT_EQ(Get(catalog_->FilesPresent("photos", facts)), 0);
  std::vector<FileFact> changed = facts;
  changed[0].size += 1;
  changed[1].modified_ns += 1;
  changed[2].inode += 1;
  changed[3].device += 1;  // a disk may get another number every time it's attached
  EXPECT_EQ(Get(catalog_->FilesPresent("photos", changed)), 3);
  EXPECT_THAT(PendingPaths(), UnorderedElementsAre("a.jpg", "b.jpg", "c.jpg"));
  EXPECT_EQ(PendingAt("a.jpg").version, 2);
  EXPECT_EQ(PendingAt("a.jpg").fact.size, changed[0].size);
  EXPECT_EQ(Get(catalog_->FilesPresent("photos", changed, true)), 4);
}

TEST_P(CatalogConformance, ReportsForUnknownRootsAreRefused) {
  EXPECT_EQ(catalog_->FilesPresent("none", std::array{Fact("a")}).code(), Code::kNotFound);
  EXPECT_EQ(catalog_->FilesGone("none", std::array{std::string("a")}).code(), Code::kNotFound);
  EXPECT_EQ(catalog_->FileMoved("none", "a", Fact("b")).code(), Code::kNotFound);
  EXPECT_EQ(catalog_->RemoveRoot("none").code(), Code::kNotFound);
}

TEST_P(CatalogConformance, PathsNeedNotBeUtf8) {
  AddRoot("photos");
  const std::string path = "caf\xE9/\xFF.jpg";
  Get(catalog_->FilesPresent("photos", std::array{Fact(path)}));
  EXPECT_EQ(Get(catalog_->FilesPresent("photos", std::array{Fact(path)})), 0);
  const CommitEffect effect = Index("photos", path, Picture("x"));
  EXPECT_EQ(Get(catalog_->GetMedia(effect.media)).paths.at(0).path, path);
}

TEST_P(CatalogConformance, MovedFileKeepsEverythingAndIsFoundByItsNewName) {
  AddRoot("photos");
  const CommitEffect effect = Index("photos", "old/frog.jpg", Picture("x", "words inside"));
  const std::vector<SegmentId> segments = Get(catalog_->SegmentsOf(effect.media));
  FileFact moved = Fact("old/frog.jpg");
  moved.path = "new/toad.jpg";
  Expect(catalog_->FileMoved("photos", "old/frog.jpg", moved));
  EXPECT_THAT(PendingPaths(), IsEmpty());
  EXPECT_EQ(Get(catalog_->SegmentsOf(effect.media)), segments);
  EXPECT_THAT(Search("toad"), ElementsAre("photos:new/toad.jpg"));
  EXPECT_THAT(Search("new"), ElementsAre("photos:new/toad.jpg"));
  EXPECT_THAT(Search("inside"), ElementsAre("photos:new/toad.jpg"));
  EXPECT_THAT(Search("frog"), IsEmpty());
  EXPECT_THAT(Search("old"), IsEmpty());
  // Reported again, it changes nothing.
  Expect(catalog_->FileMoved("photos", "old/frog.jpg", moved));
  EXPECT_THAT(PendingPaths(), IsEmpty());
}

TEST_P(CatalogConformance, MoveOfAnUnknownFileMakesItPresent) {
  AddRoot("photos");
  Expect(catalog_->FileMoved("photos", "unknown.jpg", Fact("here.jpg")));
  EXPECT_THAT(PendingPaths(), UnorderedElementsAre("here.jpg"));
}

TEST_P(CatalogConformance, MoveOntoAnotherFileReplacesIt) {
  AddRoot("photos");
  const CommitEffect kept = Index("photos", "a.jpg", Picture("a"));
  Index("photos", "b.jpg", Picture("b"));
  FileFact moved = Fact("a.jpg");
  moved.path = "b.jpg";
  Expect(catalog_->FileMoved("photos", "a.jpg", moved));
  EXPECT_THAT(Listed(), ElementsAre("photos:b.jpg"));
  EXPECT_EQ(Get(catalog_->FindMedia(Sha256("a"))), kept.media);
  EXPECT_EQ(CountsOf(*catalog_, "photos").files, 1);
}

TEST_P(CatalogConformance, FilesThatChangedPlacesAreBothThere) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("a"));
  Index("photos", "b.jpg", Picture("b"));
  FileFact a = Fact("a.jpg");
  FileFact b = Fact("b.jpg");
  std::swap(a.path, b.path);
  Expect(catalog_->FileMoved("photos", "a.jpg", a));
  Expect(catalog_->FileMoved("photos", "b.jpg", b));
  EXPECT_EQ(CountsOf(*catalog_, "photos").files, 2);
  // The second is looked at again, but its content is still known.
  EXPECT_TRUE(Get(catalog_->HasContent(Sha256("b"), "p1", kModel)));
}

TEST_P(CatalogConformance, PausedRootsHaveNothingPending) {
  AddRoot("photos");
  AddRoot("other");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg")}));
  Get(catalog_->FilesPresent("other", std::array{Fact("b.jpg")}));
  Root root = Get(catalog_->GetRoot("photos"));
  root.paused = true;
  Expect(catalog_->UpdateRoot(root));
  EXPECT_THAT(PendingPaths(), UnorderedElementsAre("b.jpg"));
  EXPECT_EQ(CountsOf(*catalog_, "photos").pending, 1);
}

TEST_P(CatalogConformance, PendingFilesComeInPages) {
  AddRoot("one");
  AddRoot("two");
  std::set<std::string> expected;
  for (int i = 0; i < 10; ++i) {
    const std::string path = std::to_string(i) + ".jpg";
    Get(catalog_->FilesPresent(i % 3 == 0 ? "two" : "one", std::array{Fact(path)}));
    expected.insert(path);
  }
  std::set<std::string> seen;
  FileId after = 0;
  while (true) {
    const std::vector<File> page = Get(catalog_->PendingFiles(after, 3));
    if (page.empty()) break;
    EXPECT_LE(page.size(), 3U);
    for (const File& file : page) {
      EXPECT_GT(file.id, after);
      after = file.id;
      EXPECT_TRUE(seen.insert(file.fact.path).second);
    }
  }
  EXPECT_EQ(seen, expected);
}

TEST_P(CatalogConformance, CountsFollowTheFiles) {
  AddRoot("photos");
  Get(catalog_->FilesPresent(
      "photos", std::array{Fact("a", 10), Fact("b", 20), Fact("c", 30), Fact("d", 40)}));
  Index("photos", "a", Picture("a"));
  const File failing = PendingAt("b");
  Expect(catalog_->MarkFailed(failing.id, failing.version, {1, 99}, {Code::kCorrupt, "b: bad"}, 1));
  Expect(catalog_->FilesGone("photos", std::array{std::string("d"), std::string("never.jpg")}));
  const RootCounts counts = CountsOf(*catalog_, "photos");
  EXPECT_EQ(counts.files, 3);
  EXPECT_EQ(counts.indexed, 1);
  EXPECT_EQ(counts.failed, 1);
  EXPECT_EQ(counts.pending, 1);
  EXPECT_EQ(counts.bytes, 60);
}

TEST_P(CatalogConformance, RemovedRootTakesItsFilesAlong) {
  AddRoot("photos");
  AddRoot("copies");
  std::vector<FileFact> facts;
  for (int i = 0; i < 600; ++i) facts.push_back(Fact(std::to_string(i) + ".jpg"));
  Get(catalog_->FilesPresent("photos", facts));
  Index("photos", "0.jpg", Picture("shared"));
  Index("photos", "1.jpg", Picture("single"));
  Index("copies", "copy.jpg", Picture("shared"));
  Expect(catalog_->RemoveRoot("photos"));
  EXPECT_EQ(catalog_->GetRoot("photos").code(), Code::kNotFound);
  EXPECT_THAT(Listed(), ElementsAre("copies:copy.jpg"));
  EXPECT_THAT(PendingPaths(), IsEmpty());
  AddRoot("photos");  // name and path are free again
  EXPECT_EQ(CountsOf(*catalog_, "photos").files, 0);
}

TEST_P(CatalogConformance, SettingsAndEpochSurviveAndEpochOnlyGrows) {
  EXPECT_EQ(Get(catalog_->GetSetting("model")), std::nullopt);
  Expect(catalog_->SetSetting("model", "open-1k"));
  Expect(catalog_->SetSetting("model", "clip"));
  const uint64_t epoch = Get(catalog_->Epoch());
  EXPECT_EQ(Get(catalog_->RaiseEpoch()), epoch + 1);
  Reopen();
  EXPECT_EQ(Get(catalog_->GetSetting("model")), "clip");
  EXPECT_EQ(Get(catalog_->Epoch()), epoch + 1);
}

}  // namespace msearch::catalog
