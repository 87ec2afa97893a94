#include "ingest/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/embed.h"

namespace msearch::ingest {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

PrepareJob Job() {
  PrepareJob job;
  job.file = 7;
  job.version = 3;
  job.root = "photos";
  job.root_path = "/srv/photos";
  job.path = "2026/\xe9t\xe9.jpg";  // Latin-1: not UTF-8
  job.size = 123456;
  job.modified_ns = 1'700'000'000'123'456'789;
  TargetModel model;
  model.name = "open-1k";
  model.key = "open-1k@1";
  model.image.width = 224;
  model.image.height = 200;
  model.embeds_passages = true;
  job.model = model;
  return job;
}

Parcel MakeParcel() {
  Parcel parcel;
  parcel.job = Job();
  parcel.hash = Sha256("content");
  parcel.document = "d";
  parcel.pixels = "p";
  parcel.vectors = "v";
  return parcel;
}

TEST(Pipeline, AJobSurvivesItsPayloadWithAnyFileName) {
  // Through text, as the queue keeps it.
  const auto text = DumpJson(Job().ToJson());
  const auto job = PrepareJob::FromJson(*ParseJson(text));
  ASSERT_TRUE(job.ok()) << job.message();
  EXPECT_EQ(job->path, Job().path);
  EXPECT_EQ(job->AbsolutePath(), "/srv/photos/2026/\xe9t\xe9.jpg");
  EXPECT_EQ(job->modified_ns, Job().modified_ns);
  ASSERT_TRUE(job->model);
  EXPECT_EQ(job->model->key, "open-1k@1");
  EXPECT_EQ(job->model->image.height, 200U);
}

TEST(Pipeline, AParcelSurvivesItsPayload) {
  const auto parcel = Parcel::FromJson(*ParseJson(DumpJson(MakeParcel().ToJson())));
  ASSERT_TRUE(parcel.ok()) << parcel.message();
  EXPECT_EQ(parcel->hash, MakeParcel().hash);
  EXPECT_THAT(parcel->Blobs(), ElementsAre("d", "p", "v"));
}

TEST(Pipeline, APreparationSurvivesItsBlobWithoutItsPixels) {
  media::Prepared prepared;
  prepared.mime = "video/mp4";
  prepared.title = "t";
  prepared.thumbnail = std::string("jpeg\0bytes", 10);
  prepared.strip = "strip";
  prepared.pixels = {"pixels"};
  prepared.segments.resize(2);
  const std::string blob = EncodePrepared(prepared);
  const auto again = DecodePrepared(blob);
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_EQ(again->mime, prepared.mime);
  EXPECT_EQ(again->title, prepared.title);
  EXPECT_EQ(again->thumbnail, prepared.thumbnail);
  EXPECT_EQ(again->strip, prepared.strip);
  EXPECT_EQ(again->sound, "");
  EXPECT_EQ(again->segments.size(), 2U);
  EXPECT_TRUE(again->pixels.empty());
  for (size_t size = 0; size < blob.size(); ++size) {
    EXPECT_FALSE(DecodePrepared(std::string_view(blob).substr(0, size)).ok());
  }
}

TEST(Pipeline, APayloadWithoutAFileIsRefused) {
  EXPECT_EQ(PrepareJob::FromJson(Json::object()).code(), Code::kInvalid);
  EXPECT_EQ(Parcel::FromJson({{"job", Job().ToJson()}, {"hash", "zz"}}).code(), Code::kInvalid);
  EXPECT_EQ(Parcel::FromJson(Json::array()).code(), Code::kInvalid);
}

TEST(Pipeline, AFileVersionHasOneKeyFromPrepareToCommit) {
  const auto priority = queue::Priority::kNormal;
  const auto key = PrepareTask(Job(), priority).unique_key;
  EXPECT_FALSE(key.empty());
  EXPECT_EQ(EmbedTask(MakeParcel(), priority).unique_key, key);
  EXPECT_EQ(CommitTask(MakeParcel(), priority).unique_key, key);
  PrepareJob edited = Job();
  ++edited.version;
  EXPECT_NE(PrepareTask(edited, priority).unique_key, key);
}

TEST(Pipeline, EveryStepLeavesADeadLetterForTheCommitQueue) {
  const auto priority = queue::Priority::kNormal;
  for (const auto& task : {PrepareTask(Job(), priority), EmbedTask(MakeParcel(), priority),
                           CommitTask(MakeParcel(), priority)}) {
    EXPECT_EQ(task.dead_letter.queue, kCommitQueue) << task.kind;
  }
}

TEST(Pipeline, LostBlobsStartAgainAFewTimesOnly) {
  Parcel parcel = MakeParcel();
  int restarts = 0;
  while (true) {
    const auto again = StartAgain(parcel, queue::Priority::kNormal);
    if (!again.ok()) break;
    parcel.job = *PrepareJob::FromJson(again->payload);
    ASSERT_LT(++restarts, 20);
  }
  EXPECT_GT(restarts, 0);
}

std::vector<embedding::Embedding> Embeddings() {
  embedding::Embedding one;
  one.views = {{0.5F, -1.25F}, {}};
  one.labels = {{"frog", 0.75F, {"amphibian", "animal"}}};
  embedding::Embedding two;
  two.views = {{}, {3.0F}};
  return {one, two};
}

TEST(Vectors, SurviveTheirBlob) {
  const auto decoded = DecodeVectors(EncodeVectors(Embeddings()));
  ASSERT_TRUE(decoded.ok()) << decoded.message();
  ASSERT_THAT(*decoded, SizeIs(2));
  EXPECT_EQ((*decoded)[0].views, Embeddings()[0].views);
  EXPECT_EQ((*decoded)[1].views, Embeddings()[1].views);
  ASSERT_THAT((*decoded)[0].labels, SizeIs(1));
  EXPECT_EQ((*decoded)[0].labels[0].text, "frog");
  EXPECT_THAT((*decoded)[0].labels[0].generals, ElementsAre("amphibian", "animal"));
}

TEST(Vectors, ACutOrTwistedBlobIsRefused) {
  const std::string whole = EncodeVectors(Embeddings());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeVectors(whole.substr(0, size)).ok()) << size;
  }
  std::string twisted = whole;
  twisted[4] = '\xff';
  twisted[5] = '\xff';
  EXPECT_FALSE(DecodeVectors(twisted).ok());
}

}  // namespace
}  // namespace msearch::ingest
