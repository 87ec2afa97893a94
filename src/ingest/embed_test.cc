#include "ingest/embed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "media/codec.h"

namespace msearch::ingest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Embeds a passage as its length and a picture as its first byte.
class PlainEmbedder final : public embedding::Embedder {
 public:
  PlainEmbedder() {
    info_.name = "plain";
    info_.key = "plain-1";
    info_.views = {{"number", 2}};
    info_.embeds_passages = true;
  }
  const embedding::ModelInfo& info() const override { return info_; }
  const embedding::DeviceInfo& device() const override { return device_; }
  Result<std::vector<embedding::Embedding>> EmbedPictures(
      std::span<const embedding::ImageInput> pictures) override {
    std::vector<embedding::Embedding> out;
    for (const auto& picture : pictures) {
      out.emplace_back().views = {{static_cast<float>(picture.rgb[0]), 0}};
    }
    return out;
  }
  Result<std::vector<embedding::Embedding>> EmbedPassages(
      std::span<const std::string> passages) override {
    std::vector<embedding::Embedding> out;
    for (const std::string& passage : passages) {
      out.emplace_back().views = {{static_cast<float>(passage.size()), 1}};
    }
    return out;
  }
  Result<std::vector<embedding::Probe>> ProbeWords(const std::string&) override {
    return Error{Code::kUnsupported, "words"};
  }
  Result<std::vector<embedding::Probe>> ProbePicture(const embedding::ImageInput&) override {
    return Error{Code::kUnsupported, "picture"};
  }
  Result<std::vector<embedding::Probe>> ProbeLike(const std::vector<std::vector<float>>&) override {
    return Error{Code::kUnsupported, "like"};
  }

 private:
  embedding::ModelInfo info_;
  embedding::DeviceInfo device_;
};

class OneTask final : public queue::TaskContext {
 public:
  explicit OneTask(queue::Lease lease) : lease_(std::move(lease)) {}
  bool ShouldStop() const override { return false; }
  std::stop_token stop_token() const override { return {}; }
  void SetProgress(const queue::Progress&) override {}
  const queue::Lease& lease() const override { return lease_; }

 private:
  queue::Lease lease_;
};

TEST(ModelHolder, GivesAnIdleModelBackAndLoadsItAgain) {
  int loads = 0;
  ModelHolder holder(
      [&](const std::string&) -> Result<std::unique_ptr<embedding::Embedder>> {
        ++loads;
        return std::unique_ptr<embedding::Embedder>(std::make_unique<PlainEmbedder>());
      },
      Milliseconds(0));
  const auto use = [&] {
    return holder.With("plain", "plain-1", [](embedding::Embedder&) -> Result<> { return Ok{}; });
  };
  ASSERT_TRUE(use().ok());
  ASSERT_TRUE(use().ok());
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(GetString(holder.Describe(), "model"), "plain");
  holder.UnloadIfIdle();
  EXPECT_EQ(GetString(holder.Describe(), "model"), std::nullopt);
  ASSERT_TRUE(use().ok());
  EXPECT_EQ(loads, 2);
}

TEST(ModelHolder, KeepsAModelThatWorkedJustNow) {
  int loads = 0;
  ModelHolder holder(
      [&](const std::string&) -> Result<std::unique_ptr<embedding::Embedder>> {
        ++loads;
        return std::unique_ptr<embedding::Embedder>(std::make_unique<PlainEmbedder>());
      },
      Milliseconds(3'600'000));
  const auto use = [&] {
    return holder.With("plain", "plain-1", [](embedding::Embedder&) -> Result<> { return Ok{}; });
  };
  ASSERT_TRUE(use().ok());
  holder.UnloadIfIdle();
  ASSERT_TRUE(use().ok());
  EXPECT_EQ(loads, 1);
}

// What becomes of a parcel by the plain model.
std::vector<queue::Outcome> Embedded(std::shared_ptr<storage::BlobStore> blobs,
                                     const Parcel& parcel) {
  queue::Lease lease;
  lease.task.payload = parcel.ToJson();
  const auto holder = std::make_shared<ModelHolder>(
      [](const std::string&) -> Result<std::unique_ptr<embedding::Embedder>> {
        return std::unique_ptr<embedding::Embedder>(std::make_unique<PlainEmbedder>());
      },
      Milliseconds(1000));
  std::vector<std::unique_ptr<queue::TaskContext>> tasks;
  tasks.push_back(std::make_unique<OneTask>(lease));
  return EmbedHandler(std::move(blobs), holder)(tasks);
}

// Has no room for anything.
class FullStore final : public storage::BlobStore {
 public:
  explicit FullStore(std::shared_ptr<storage::BlobStore> behind) : behind_(std::move(behind)) {}
  Result<std::string> Put(std::string_view) override {
    return Error{Code::kExhausted, "blobs: No space left on device"};
  }
  Result<std::string> Get(const std::string& id) const override { return behind_->Get(id); }
  void Remove(const std::string& id) override { behind_->Remove(id); }
  uint64_t bytes() const override { return behind_->bytes(); }
  uint64_t bytes_max() const override { return behind_->bytes_max(); }
  Result<int> RemoveOlderThan(Milliseconds age) override { return behind_->RemoveOlderThan(age); }

 private:
  const std::shared_ptr<storage::BlobStore> behind_;
};

TEST(EmbedHandler, GivesBackWhatThereIsNoRoomForAndKeepsItsInputs) {
  const TemporaryDirectory folder;
  std::shared_ptr<storage::BlobStore> blobs =
      storage::OpenFileBlobStore(folder.path(), 1 << 24).value();
  media::Prepared prepared;
  prepared.type = media::MediaType::kPicture;
  prepared.pixels = {"\x07zz"};
  prepared.segments = {{.index = 0, .pixels = 0}};
  Parcel parcel;
  parcel.job.file = 7;
  parcel.job.path = "a.png";
  parcel.job.root = "r";
  parcel.job.root_path = "/r";
  parcel.job.model = TargetModel{.name = "plain", .key = "plain-1", .image = {1, 1}};
  parcel.hash = Sha256("a");
  parcel.document = blobs->Put(EncodePrepared(prepared)).value();
  parcel.pixels = blobs->Put(prepared.pixels[0]).value();
  const auto outcomes = Embedded(std::make_shared<FullStore>(blobs), parcel);
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_TRUE(outcomes[0].release);
  EXPECT_GT(outcomes[0].delay.count(), 0);
  EXPECT_TRUE(blobs->Get(parcel.pixels).ok());
  EXPECT_TRUE(blobs->Get(parcel.document).ok());
}

TEST(EmbedHandler, GivesEachPageOfADocumentTheVectorsOfItsTextOrPicture) {
  const TemporaryDirectory folder;
  std::shared_ptr<storage::BlobStore> blobs =
      storage::OpenFileBlobStore(folder.path(), 1 << 24).value();
  media::Prepared prepared;
  prepared.type = media::MediaType::kDocument;
  prepared.pixels = {"\x07zz", "\x09zz"};
  prepared.segments = {
      {.index = 0, .kind = media::SegmentKind::kPassage, .text = "four", .page = 1},
      {.index = 1, .page = 2, .pixels = 0},
      {.index = 2, .page = 3},
      {.index = 3, .kind = media::SegmentKind::kPassage, .text = "sixsix", .page = 4},
      {.index = 4, .page = 5, .pixels = 1}};
  Parcel parcel;
  parcel.job.file = 7;
  parcel.job.path = "a.pdf";
  parcel.job.root = "r";
  parcel.job.root_path = "/r";
  parcel.job.model =
      TargetModel{.name = "plain", .key = "plain-1", .image = {1, 1}, .embeds_passages = true};
  parcel.hash = Sha256("a");
  parcel.document = blobs->Put(EncodePrepared(prepared)).value();
  parcel.pixels = blobs->Put(prepared.pixels[0] + prepared.pixels[1]).value();
  const std::vector<queue::Outcome> outcomes = Embedded(blobs, parcel);
  ASSERT_EQ(outcomes.size(), 1U);
  ASSERT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.message();
  ASSERT_EQ(outcomes[0].follow_ups.size(), 1U);
  const Parcel done = Parcel::FromJson(outcomes[0].follow_ups[0].payload).value();
  const auto embeddings = DecodeVectors(blobs->Get(done.vectors).value()).value();
  ASSERT_EQ(embeddings.size(), 5U);
  EXPECT_THAT(embeddings[0].views, ElementsAre(ElementsAre(4, 1)));
  EXPECT_THAT(embeddings[1].views, ElementsAre(ElementsAre(7, 0)));
  EXPECT_THAT(embeddings[2].views, IsEmpty());
  EXPECT_THAT(embeddings[3].views, ElementsAre(ElementsAre(6, 1)));
  EXPECT_THAT(embeddings[4].views, ElementsAre(ElementsAre(9, 0)));
}

}  // namespace
}  // namespace msearch::ingest
