#include <gmock/gmock.h>

#include <cmath>

#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const ReaderSpec kSpeech{"speech", "whisper/1", {"audio", "video"}};
const ReaderSpec kText{"text", "ocr/1", {"image"}};

Reading Read(const std::string& bytes, const ReaderSpec& reader, const std::string& text,
             uint64_t token = 1) {
  Reading reading;
  reading.hash = Sha256(bytes);
  reading.reader = reader.name;
  reading.key = reader.key;
  reading.token = {1, token};
  if (text.empty()) return reading;
  Segment segment;
  segment.kind = reader.name;
  segment.text = text;
  segment.start_time = 1.5;
  segment.end_time = 3;
  segment.boxes = {{"word", 0.25F, 0.5F, 0.125F, 0.0625F}};
  reading.segments.push_back(segment);
  return reading;
}

std::vector<std::string> PathsUnread(const Catalog& catalog, const ReaderSpec& reader) {
  std::vector<std::string> paths;
  for (const Unread& unread : Get(catalog.UnreadMedia(reader, 0, 100))) {
    paths.push_back(unread.root_path + "/" + unread.file.path);
  }
  return paths;
}

}  // namespace

TEST_P(CatalogConformance, ContentIsUnreadUntilItsReaderReadIt) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x"));
  Index("photos", "b.jpg", Picture("y"));
  EXPECT_THAT(PathsUnread(*catalog_, kSpeech), IsEmpty());
  EXPECT_THAT(PathsUnread(*catalog_, kText), ElementsAre("/photos/a.jpg", "/photos/b.jpg"));
  Expect(catalog_->ApplyReading(Read("x", kText, "no smoking")));
  Expect(catalog_->ApplyReading(Read("y", kText, "")));
  EXPECT_THAT(PathsUnread(*catalog_, kText), IsEmpty());
  const ReaderSpec better{"text", "ocr/2", {"image"}};
  EXPECT_THAT(PathsUnread(*catalog_, better), SizeIs(2));
}

TEST_P(CatalogConformance, WhatAReaderFoundIsSearchableAndReadBack) {
  AddRoot("photos");
  const MediaId media = Index("photos", "a.jpg", Picture("x")).media;
  Reading reading = Read("x", kText, "no smoking");
  reading.attributes = {{"language", "en"}};
  Expect(catalog_->ApplyReading(reading));
  EXPECT_THAT(Search("smoking"), ElementsAre("photos:a.jpg"));
  const Media back = Get(catalog_->GetMedia(media));
  EXPECT_EQ(back.content.attributes["text"]["language"], "en");
  ASSERT_THAT(back.content.segments, SizeIs(2));
  const Segment& found = back.content.segments[1];
  EXPECT_EQ(found.reader, "text");
  EXPECT_EQ(found.kind, "text");
  EXPECT_EQ(found.index, 0U);
  EXPECT_EQ(found.start_time, 1.5);
  ASSERT_THAT(found.boxes, SizeIs(1));
  EXPECT_EQ(found.boxes[0].text, "word");
  EXPECT_EQ(found.boxes[0].width, 0.125F);
  const auto ids = Get(catalog_->SegmentsOf(media));
  const auto infos = Get(catalog_->GetSegments(ids, {}));
  ASSERT_THAT(infos, SizeIs(2));
  EXPECT_EQ(infos[0].kind, "picture");
  EXPECT_EQ(infos[1].kind, "text");
  EXPECT_THAT(infos[1].boxes, SizeIs(1));
}

TEST_P(CatalogConformance, SecondReadingReplacesTheFirstUnderNewIds) {
  AddRoot("photos");
  const MediaId media = Index("photos", "a.jpg", Picture("x")).media;
  Expect(catalog_->ApplyReading(Read("x", kText, "no smoking", 1)));
  const auto before = Get(catalog_->SegmentsOf(media));
  Expect(catalog_->ApplyReading(Read("x", kText, "no parking", 2)));
  const auto after = Get(catalog_->SegmentsOf(media));
  EXPECT_EQ(after[0], before[0]);
  EXPECT_NE(after[1], before[1]);
  EXPECT_THAT(Search("smoking"), IsEmpty());
  EXPECT_THAT(Search("parking"), ElementsAre("photos:a.jpg"));
  EXPECT_EQ(catalog_->ApplyReading(Read("x", kText, "late", 1)).code(), Code::kStale);
  EXPECT_EQ(catalog_->ApplyReading(Read("gone", kText, "late", 9)).code(), Code::kNotFound);
}

TEST_P(CatalogConformance, ReadingOutlivesANewModelButNotANewContent) {
  AddRoot("photos");
  const MediaId media = Index("photos", "a.jpg", Picture("x")).media;
  Expect(catalog_->ApplyReading(Read("x", kText, "no smoking")));
  const SegmentViews vectors{Get(catalog_->SegmentsOf(media))[1], {{1, 2}}};
  EXPECT_EQ(Get(catalog_->ApplyVectors(kModel, std::array{vectors})), 1);
  Get(catalog_->MarkOutdated("", "model-2"));
  MediaContent again = Picture("x");
  const File file = PendingAt("a.jpg");
  Commit commit = CommitFor(file, again, {9, 1});
  commit.model_key = "model-2";
  Expect(ApplyOne(commit).status);
  EXPECT_THAT(Search("smoking"), ElementsAre("photos:a.jpg"));
  EXPECT_THAT(PathsUnread(*catalog_, kText), IsEmpty());
  EXPECT_THAT(Get(catalog_->UnembeddedTexts("model-2", 0, 10)), SizeIs(1));

  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg", 77, 9000)}));
  Expect(ApplyOne(CommitFor(PendingAt("a.jpg"), Picture("edited"), {9, 2})).status);
  EXPECT_THAT(Search("smoking"), IsEmpty());
  EXPECT_THAT(PathsUnread(*catalog_, kText), ElementsAre("/photos/a.jpg"));
}

TEST_P(CatalogConformance, TextsOfReadersAreEmbeddedLaterAndFollowTheChangeLog) {
  AddRoot("photos");
  const MediaId media = Index("photos", "a.jpg", Picture("x")).media;
  Expect(catalog_->ApplyReading(Read("x", kText, "no smoking")));
  const auto texts = Get(catalog_->UnembeddedTexts(kModel, 0, 10));
  ASSERT_THAT(texts, SizeIs(1));
  EXPECT_EQ(texts[0].text, "no smoking");
  const auto stored = catalog_->ApplyVectors(
      kModel, std::array{SegmentViews{texts[0].id, {{7, 1}}}, SegmentViews{987654, {{7, 1}}}});
  EXPECT_EQ(Get(stored), 1);
  EXPECT_THAT(Get(catalog_->UnembeddedTexts(kModel, 0, 10)), IsEmpty());
  Replica replica;
  replica.Follow(*catalog_);
  EXPECT_EQ(replica.vectors.at(texts[0].id), 7);
  EXPECT_EQ(catalog_->ApplyVectors(kModel, std::array{SegmentViews{texts[0].id, {{NAN}}}}).code(),
            Code::kInvalid);
  Get(catalog_->FilesPresent("photos", std::array{Fact("a.jpg", 77, 9000)}));
  Expect(ApplyOne(CommitFor(PendingAt("a.jpg"), Picture("edited"), {9, 2})).status);
  replica.Follow(*catalog_);
  EXPECT_FALSE(replica.vectors.contains(texts[0].id));
  EXPECT_EQ(Get(catalog_->GetMedia(media)).content.segments.size(), 1U);
}

TEST_P(CatalogConformance, SegmentsHaveVectorsOfSeveralModelsAtOnce) {
  AddRoot("photos");
  MediaContent content = Picture("x");
  content.segments[0].spaces["sound-1"] = {{3, 4}};
  Index("photos", "a.jpg", content);
  Replica sight;
  sight.Follow(*catalog_);
  Replica sound;
  sound.Follow(*catalog_, "sound-1");
  EXPECT_THAT(sight.vectors, SizeIs(1));
  ASSERT_THAT(sound.vectors, SizeIs(1));
  EXPECT_EQ(sound.vectors.begin()->second, 3);
  EXPECT_EQ(Get(catalog_->DropOtherModels(std::array{std::string("sound-1")})), 1);
  EXPECT_EQ(Get(catalog_->CountSegments("sound-1")), 1);
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 0);
}

TEST_P(CatalogConformance, FailedReadingIsListedAndReadAgainOnDemand) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x"));
  Reading failed = Read("x", kText, "");
  failed.error = Error{Code::kTimeout, "a.jpg: took too long"};
  failed.attempts = 3;
  Expect(catalog_->ApplyReading(failed));
  EXPECT_THAT(PathsUnread(*catalog_, kText), IsEmpty());
  int64_t total = 0;
  const auto failures = Get(catalog_->Failures({.root = ""}, 0, 10, &total));
  ASSERT_THAT(failures, SizeIs(1));
  EXPECT_EQ(total, 1);
  EXPECT_EQ(failures[0].reader, "text");
  EXPECT_EQ(failures[0].path, "a.jpg");
  EXPECT_EQ(failures[0].error.code, Code::kTimeout);
  const int64_t before = Get(catalog_->Revision());
  EXPECT_EQ(Get(catalog_->RetryFailures({.root = ""})), 1);
  EXPECT_GT(Get(catalog_->Revision()), before);
  EXPECT_THAT(PathsUnread(*catalog_, kText), ElementsAre("/photos/a.jpg"));
}

TEST_P(CatalogConformance, OrphansAndPausedRootsAreNotRead) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x"));
  Root root = Get(catalog_->GetRoot("photos"));
  root.paused = true;
  Expect(catalog_->UpdateRoot(root));
  EXPECT_THAT(PathsUnread(*catalog_, kText), IsEmpty());
  root.paused = false;
  Expect(catalog_->UpdateRoot(root));
  Expect(catalog_->FilesGone("photos", std::array{std::string("a.jpg")}));
  EXPECT_THAT(PathsUnread(*catalog_, kText), IsEmpty());
}

TEST_P(CatalogConformance, RevisionGrowsWithNewContentOnly) {
  AddRoot("photos");
  const int64_t empty = Get(catalog_->Revision());
  Index("photos", "a.jpg", Picture("x"));
  const int64_t one = Get(catalog_->Revision());
  EXPECT_GT(one, empty);
  Index("photos", "copy.jpg", Picture("x"));
  EXPECT_EQ(Get(catalog_->Revision()), one);
  Expect(catalog_->ApplyReading(Read("x", kText, "words")));
  EXPECT_GT(Get(catalog_->Revision()), one);
}

}  // namespace msearch::catalog
