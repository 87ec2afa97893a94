#include <gmock/gmock.h>

#include <cmath>

#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

Code StatusOf(const CommitEffect& effect) {
  return effect.status.ok() ? Code::kInternal : effect.status.code();
}

FileFact Edited(const std::string& path) { return Fact(path, 101, 2000); }

}  // namespace

TEST_P(CatalogConformance, CommittedContentIsReadBack) {
  AddRoot("photos");
  MediaContent content = Picture("x", "text in it", {"tree frog", "frog"});
  content.width = 640;
  content.height = 480;
  content.captured_at = 1'600'000'000'000;
  content.camera = "Leica";
  content.gps = {52.5, 13.4};
  content.perceptual_hash = 0xF000000000000001;
  content.title = "A title";
  content.attributes = {{"labels", {"frog"}}};
  content.segments[0].start_time = 1.5;
  content.segments[0].end_time = 2.5;
  content.segments[0].page = 7;
  const CommitEffect effect = Index("photos", "a.jpg", content);
  EXPECT_TRUE(effect.content_new);
  const Media media = Get(catalog_->GetMedia(effect.media));
  EXPECT_EQ(media.content.hash, content.hash);
  EXPECT_EQ(media.content.type, "image");
  EXPECT_EQ(media.content.width, 640U);
  EXPECT_EQ(media.content.captured_at, content.captured_at);
  EXPECT_EQ(media.content.gps, content.gps);
  EXPECT_EQ(media.content.perceptual_hash, content.perceptual_hash);
  EXPECT_EQ(media.content.title, "A title");
  EXPECT_EQ(media.content.attributes, content.attributes);
  ASSERT_THAT(media.content.segments, SizeIs(1));
  EXPECT_EQ(media.content.segments[0].labels, content.segments[0].labels);
  EXPECT_EQ(media.content.segments[0].text, "text in it");
  EXPECT_EQ(media.content.segments[0].end_time, 2.5);
  EXPECT_EQ(media.content.segments[0].page, 7U);
  const std::vector<SegmentId> ids = Get(catalog_->SegmentsOf(effect.media));
  ASSERT_THAT(ids, SizeIs(1));
  EXPECT_EQ(Get(catalog_->SegmentText(ids[0])), "text in it");
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 1);
}

TEST_P(CatalogConformance, LowerTokenIsRefusedAndEqualOneIsNot) {
  AddRoot("photos");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg")}));
  const File file = PendingAt("a.jpg");
  Expect(ApplyOne(CommitFor(file, Picture("new"), {2, 5})).status);
  EXPECT_EQ(StatusOf(ApplyOne(CommitFor(file, Picture("late"), {2, 4}))), Code::kStale);
  EXPECT_EQ(StatusOf(ApplyOne(CommitFor(file, Picture("late"), {1, 900}))), Code::kStale);
  EXPECT_EQ(catalog_->MarkFailed(file.id, file.version, {2, 4}, {Code::kCorrupt, "late"}, 1).code(),
            Code::kStale);
  Expect(ApplyOne(CommitFor(file, Picture("new"), {2, 5})).status);
  EXPECT_EQ(Get(catalog_->FindMedia(Sha256("late"))), std::nullopt);
  EXPECT_EQ(Get(catalog_->GetFile(file.id)).state, FileState::kIndexed);
}

TEST_P(CatalogConformance, FailureWithAHigherTokenFencesOffTheEarlierCommit) {
  AddRoot("photos");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg")}));
  const File file = PendingAt("a.jpg");
  Expect(catalog_->MarkFailed(file.id, file.version, {1, 8}, {Code::kCrashed, "a.jpg: crash"}, 2));
  EXPECT_EQ(StatusOf(ApplyOne(CommitFor(file, Picture("x"), {1, 7}))), Code::kStale);
  EXPECT_EQ(Get(catalog_->GetFile(file.id)).state, FileState::kFailed);
}

TEST_P(CatalogConformance, ResultOfAnOlderVersionIsRefused) {
  AddRoot("photos");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg")}));
  const File before = PendingAt("a.jpg");
  Get(catalog_->FilesPresent("photos", std::array{Edited("a.jpg")}));
  EXPECT_EQ(StatusOf(ApplyOne(CommitFor(before, Picture("x"), {1, 1}))), Code::kStale);
  EXPECT_EQ(
      catalog_->MarkFailed(before.id, before.version, {1, 2}, {Code::kCorrupt, "x"}, 1).code(),
      Code::kStale);
  EXPECT_EQ(PendingAt("a.jpg").version, 2);
}

TEST_P(CatalogConformance, ResultForAFileThatIsGoneIsRefusedThoughThePathIsBack) {
  AddRoot("photos");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg")}));
  const File before = PendingAt("a.jpg");
  Expect(catalog_->FilesGone("photos", std::array{std::string("a.jpg")}));
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg")}));
  EXPECT_EQ(StatusOf(ApplyOne(CommitFor(before, Picture("x"), {1, 1}))), Code::kNotFound);
  EXPECT_NE(PendingAt("a.jpg").id, before.id);
}

TEST_P(CatalogConformance, ApplyingACommitTwiceHasOneEffect) {
  AddRoot("photos");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg")}));
  const Commit commit = CommitFor(PendingAt("a.jpg"), Picture("x", "word"), {1, 1});
  const CommitEffect first = ApplyOne(commit);
  const uint64_t position = Get(catalog_->Position());
  const CommitEffect second = ApplyOne(commit);
  Expect(second.status);
  EXPECT_EQ(second.media, first.media);
  EXPECT_FALSE(second.content_new);
  EXPECT_EQ(Get(catalog_->Position()), position);
  EXPECT_THAT(Get(catalog_->SearchText("word", {}, 10)), SizeIs(1));
}

TEST_P(CatalogConformance, EqualContentIsOneMediaWithSeveralPaths) {
  AddRoot("photos");
  AddRoot("backup");
  const CommitEffect first = Index("photos", "a.jpg", Picture("x"));
  const CommitEffect second = Index("backup", "copy.jpg", Picture("x"));
  EXPECT_EQ(first.media, second.media);
  EXPECT_FALSE(second.content_new);
  EXPECT_THAT(Get(catalog_->GetMedia(first.media)).paths, SizeIs(2));
  EXPECT_THAT(Search("copy"), ElementsAre("photos:a.jpg"));
  Expect(catalog_->FilesGone("photos", std::array{std::string("a.jpg")}));
  EXPECT_THAT(Listed(), ElementsAre("backup:copy.jpg"));
  EXPECT_THAT(Search("copy"), ElementsAre("backup:copy.jpg"));
}

TEST_P(CatalogConformance, KnownContentNeedsOnlyItsHash) {
  AddRoot("photos");
  const CommitEffect first = Index("photos", "a.jpg", Picture("x"));
  Get(catalog_->FilesPresent("photos", std::array{Fact("copy.jpg"), Fact("else.jpg")}));
  EXPECT_TRUE(Get(catalog_->HasContent(Sha256("x"), "p1", kModel)));
  Commit commit = CommitFor(PendingAt("copy.jpg"), Picture("x"), {1, 50});
  commit.content.reset();
  const CommitEffect second = ApplyOne(commit);
  Expect(second.status);
  EXPECT_EQ(second.media, first.media);
  commit = CommitFor(PendingAt("else.jpg"), Picture("unknown"), {1, 51});
  commit.content.reset();
  EXPECT_EQ(StatusOf(ApplyOne(commit)), Code::kNotFound);
  EXPECT_EQ(PendingAt("else.jpg").state, FileState::kPending);
}

TEST_P(CatalogConformance, ContentIsOnlyCompleteForItsPreparationAndModel) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x"));
  EXPECT_TRUE(Get(catalog_->HasContent(Sha256("x"), "", "")));
  EXPECT_FALSE(Get(catalog_->HasContent(Sha256("x"), "p2", kModel)));
  EXPECT_FALSE(Get(catalog_->HasContent(Sha256("x"), "p1", "model-2")));
  EXPECT_FALSE(Get(catalog_->HasContent(Sha256("y"), "", "")));
  Get(catalog_->FilesPresent("photos", std::array{Fact("copy.jpg")}));
  Commit commit = CommitFor(PendingAt("copy.jpg"), Picture("x"), {1, 50});
  commit.content.reset();
  commit.model_key = "model-2";
  EXPECT_EQ(StatusOf(ApplyOne(commit)), Code::kNotFound);
}

TEST_P(CatalogConformance, FileEditedInPlaceKeepsItsMediaIdWithNewSegments) {
  AddRoot("photos");
  const CommitEffect before = Index("photos", "a.txt", Document("one", {"apple", "pear"}));
  const std::vector<SegmentId> old_segments = Get(catalog_->SegmentsOf(before.media));
  Get(catalog_->FilesPresent("photos", std::array{Edited("a.txt")}));
  // Until the new content is known the old is still found.
  EXPECT_THAT(Search("apple"), ElementsAre("photos:a.txt"));
  const CommitEffect after = Index("photos", "a.txt", Document("two", {"cherry"}));
  EXPECT_EQ(after.media, before.media);
  EXPECT_TRUE(after.content_new);
  EXPECT_THAT(Search("apple"), IsEmpty());
  EXPECT_THAT(Search("cherry"), ElementsAre("photos:a.txt"));
  EXPECT_EQ(Get(catalog_->FindMedia(Sha256("one"))), std::nullopt);
  const std::vector<SegmentId> segments = Get(catalog_->SegmentsOf(after.media));
  ASSERT_THAT(segments, SizeIs(1));
  for (const SegmentId old : old_segments) EXPECT_NE(segments[0], old);
}

TEST_P(CatalogConformance, EditedCopyBecomesAMediaOfItsOwn) {
  AddRoot("photos");
  const CommitEffect first = Index("photos", "a.jpg", Picture("x"));
  Index("photos", "copy.jpg", Picture("x"));
  Get(catalog_->FilesPresent("photos", std::array{Edited("copy.jpg")}));
  const CommitEffect edited = Index("photos", "copy.jpg", Picture("y"));
  EXPECT_NE(edited.media, first.media);
  EXPECT_THAT(Get(catalog_->GetMedia(first.media)).paths, SizeIs(1));
}

TEST_P(CatalogConformance, BadContentSpoilsOnlyItsOwnCommit) {
  AddRoot("photos");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.txt"), Fact("b.txt"), Fact("c.txt")}));
  MediaContent twice = Document("a", {"one", "two"});
  twice.segments[1].index = 0;
  MediaContent not_a_number = Document("c", {"three"});
  not_a_number.segments[0].views[0][0] = std::nanf("");
  const std::vector<Commit> commits = {CommitFor(PendingAt("a.txt"), twice, {1, 1}),
                                       CommitFor(PendingAt("b.txt"), Document("b", {"x"}), {1, 2}),
                                       CommitFor(PendingAt("c.txt"), not_a_number, {1, 3})};
  const std::vector<CommitEffect> effects = Get(catalog_->Apply(commits));
  ASSERT_THAT(effects, SizeIs(3));
  EXPECT_EQ(StatusOf(effects[0]), Code::kInvalid);
  Expect(effects[1].status);
  EXPECT_EQ(StatusOf(effects[2]), Code::kInvalid);
  EXPECT_THAT(Listed(), ElementsAre("photos:b.txt"));
}

TEST_P(CatalogConformance, FailuresAreKeptExplainedAndCanBeRetried) {
  AddRoot("photos");
  AddRoot("other");
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg"), Fact("b.jpg")}));
  Get(catalog_->FilesPresent("other", std::array{Fact("c.jpg")}));
  for (const char* path : {"a.jpg", "b.jpg", "c.jpg"}) {
    const File file = PendingAt(path);
    state_->clock().Advance(Milliseconds(1000));
    Expect(catalog_->MarkFailed(file.id, file.version, {1, 1},
                                {path == std::string("a.jpg") ? Code::kTooLarge : Code::kCorrupt,
                                 std::string(path) + ": not a JPEG"},
                                3));
  }
  int64_t total = 0;
  const std::vector<FailureInfo> failures =
      Get(catalog_->Failures({.root = "photos"}, 0, 10, &total));
  EXPECT_EQ(total, 2);
  ASSERT_THAT(failures, SizeIs(2));
  EXPECT_EQ(failures[0].path, "b.jpg");  // the latest first
  EXPECT_EQ(failures[0].error.code, Code::kCorrupt);
  EXPECT_EQ(failures[0].error.message, "b.jpg: not a JPEG");
  EXPECT_EQ(failures[0].attempts, 3);
  EXPECT_THAT(Get(catalog_->Failures({.root = ""}, 1, 1, &total)), SizeIs(1));
  EXPECT_EQ(total, 3);
  EXPECT_THAT(Get(catalog_->FailureClasses("photos")),
              UnorderedElementsAre(Pair("corrupt", 1), Pair("too_large", 1)));
  EXPECT_THAT(Get(catalog_->Failures({.code = "too_large"}, 0, 10, &total)), SizeIs(1));
  EXPECT_EQ(total, 1);
  EXPECT_EQ(Get(catalog_->RetryFailures({.root = "photos", .code = "timeout"})), 0);
  EXPECT_EQ(Get(catalog_->RetryFailures({.root = "photos"})), 2);
  EXPECT_EQ(PendingPaths(), (std::set<std::string>{"a.jpg", "b.jpg"}));
  EXPECT_EQ(PendingAt("a.jpg").attempts, 0);
  EXPECT_EQ(Get(catalog_->RetryFailures({.root = ""})), 1);
  EXPECT_EQ(Get(catalog_->RetryFailures({.root = ""})), 0);
}

TEST_P(CatalogConformance, FailureOfAChangedFileTakesItsOldContentOutOfSight) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x", "apple"));
  Get(catalog_->FilesPresent("photos", std::array{Edited("a.jpg")}));
  const File file = PendingAt("a.jpg");
  Expect(catalog_->MarkFailed(file.id, file.version, {9, 1}, {Code::kCorrupt, "bad"}, 1));
  EXPECT_THAT(Search("apple"), IsEmpty());
  EXPECT_THAT(Listed(), IsEmpty());
}

TEST_P(CatalogConformance, FailureOfANewModelKeepsWhatWasIndexed) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x", "apple"));
  EXPECT_EQ(Get(catalog_->MarkOutdated("p1", "model-2")), 1);
  const File file = PendingAt("a.jpg");
  Expect(catalog_->MarkFailed(file.id, file.version, {9, 1}, {Code::kCrashed, "model"}, 1));
  EXPECT_THAT(Search("apple"), ElementsAre("photos:a.jpg"));
}

TEST_P(CatalogConformance, MediaMovedToAnotherRootNeedsNoNewVectors) {
  AddRoot("inbox");
  AddRoot("archive");
  const CommitEffect before = Index("inbox", "a.jpg", Picture("x", "apple"));
  const std::vector<SegmentId> segments = Get(catalog_->SegmentsOf(before.media));
  Expect(catalog_->FilesGone("inbox", std::array{std::string("a.jpg")}));
  // Out of sight everywhere, but not forgotten.
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_THAT(Search("apple"), IsEmpty());
  EXPECT_THAT(Get(catalog_->FilterSegments({})), IsEmpty());
  EXPECT_THAT(Get(catalog_->GetSegments(segments, {})), IsEmpty());
  EXPECT_EQ(catalog_->GetMedia(before.media).code(), Code::kNotFound);
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 0);
  EXPECT_TRUE(Get(catalog_->HasContent(Sha256("x"), "p1", kModel)));
  state_->clock().Advance(std::chrono::minutes(9));
  EXPECT_EQ(Get(catalog_->PurgeOrphans(std::chrono::minutes(10))), 0);
  Get(catalog_->FilesPresent("archive", std::array{Fact("b.jpg")}));
  Commit commit = CommitFor(PendingAt("b.jpg"), Picture("x"), {1, 50});
  commit.content.reset();
  EXPECT_EQ(ApplyOne(commit).media, before.media);
  EXPECT_EQ(Get(catalog_->SegmentsOf(before.media)), segments);
  EXPECT_THAT(Search("apple"), ElementsAre("archive:b.jpg"));
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 1);
}

TEST_P(CatalogConformance, MediaWithoutPathIsDeletedAfterItsTimeOfGrace) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x"));
  Expect(catalog_->FilesGone("photos", std::array{std::string("a.jpg")}));
  state_->clock().Advance(std::chrono::minutes(11));
  EXPECT_EQ(Get(catalog_->PurgeOrphans(std::chrono::minutes(10))), 1);
  EXPECT_FALSE(Get(catalog_->HasContent(Sha256("x"), "", "")));
  EXPECT_TRUE(Index("photos", "a.jpg", Picture("x")).content_new);
}

TEST_P(CatalogConformance, OutdatedFilesBecomePendingButStaySearchable) {
  AddRoot("photos");
  const CommitEffect effect = Index("photos", "a.jpg", Picture("x", "apple"));
  Index("photos", "b.jpg", Picture("y"), "model-2");
  EXPECT_EQ(Get(catalog_->MarkOutdated("p1", kModel)), 1);
  EXPECT_EQ(PendingPaths(), (std::set<std::string>{"b.jpg"}));
  EXPECT_EQ(Get(catalog_->MarkOutdated("p2", "")), 1);
  EXPECT_THAT(Search("apple"), ElementsAre("photos:a.jpg"));
  EXPECT_EQ(Get(catalog_->GetFile(PendingAt("a.jpg").id)).media, effect.media);
}

}  // namespace msearch::catalog
