#include <gtest/gtest.h>

#include "base/file.h"
#include "embedding/test_models.h"
#include "embedding/vectors.h"

// What open-1k does with real weights; its quality is measured by bench/eval_stamps.

namespace msearch::embedding {
namespace {

enum View { kSemantic, kLabels, kVisual, kPassage };

class Open1k : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_PULLED("open-1k");
    auto loaded = packs_.Load("open-1k", {"cpu", 1});
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    model_ = std::move(*loaded);
  }

  // Soft blobs of colour: what it shows doesn't matter.
  std::string Picture(int seed) const {
    std::string rgb;
    for (int y = 0; y < 224; ++y) {
      for (int x = 0; x < 224; ++x) {
        rgb += static_cast<char>((x * (seed + 1) + y) % 256);
        rgb += static_cast<char>((y * (seed + 2)) % 256);
        rgb += static_cast<char>((x + y * seed) % 256);
      }
    }
    return rgb;
  }

  std::vector<float> Passage(const std::string& text) {
    return model_->EmbedPassages({&text, 1}).value()[0].views[kPassage];
  }
  std::vector<float> Query(const std::string& words) {
    return model_->ProbeWords(words).value()[1].views[0].vector;
  }

  const ModelPacks packs_{{TestManifests(), TestModels(), TestRuntime()}};
  std::unique_ptr<Embedder> model_;
};

TEST_F(Open1k, IsWhatItsInfoSaysWithoutLoading) {
  const auto info = packs_.Info("open-1k");
  ASSERT_TRUE(info.ok()) << info.message();
  EXPECT_EQ(info->ToJson(), model_->info().ToJson());
  EXPECT_TRUE(info->answers_words);
  EXPECT_TRUE(info->embeds_passages);
}

TEST_F(Open1k, EmbedsPicturesAloneAndInBatchesAlike) {
  const std::string a = Picture(1), b = Picture(5);
  const std::vector<ImageInput> both = {{a}, {b}};
  const auto batch = model_->EmbedPictures(both);
  ASSERT_TRUE(batch.ok()) << batch.message();
  const auto alone = model_->EmbedPictures({&both[1], 1});
  ASSERT_TRUE(alone.ok()) << alone.message();
  const auto& views = (*batch)[1].views;
  ASSERT_EQ(views.size(), 4U);
  EXPECT_TRUE(views[kPassage].empty());
  for (const View view : {kSemantic, kVisual}) {
    EXPECT_NEAR(Dot(views[view], views[view]), 1, 1e-4);
    EXPECT_NEAR(Dot(views[view], (*alone)[0].views[view]), 1, 1e-4);
  }
  for (const View view : {kSemantic, kLabels, kVisual}) {
    EXPECT_EQ(views[view].size(), model_->info().views[view].dimensions);
  }
}

TEST_F(Open1k, NamesLabelsBestFirstWithMoreGeneralWords) {
  const std::string picture = Picture(3);
  const ImageInput input{picture};
  const auto embedded = model_->EmbedPictures({&input, 1});
  ASSERT_TRUE(embedded.ok()) << embedded.message();
  const std::vector<Label>& labels = (*embedded)[0].labels;
  for (size_t i = 1; i < labels.size(); ++i) {
    EXPECT_GE(labels[i - 1].probability, labels[i].probability);
  }
  for (const Label& label : labels) EXPECT_FALSE(label.text.empty());
}

TEST_F(Open1k, PutsWordsOfLikeMeaningTogether) {
  const float near = Dot(Query("a frog"), Passage("Toads and other amphibians live near ponds."));
  const float far = Dot(Query("a frog"), Passage("The invoice is due at the end of March."));
  EXPECT_GT(near, far + 0.2F);
}

TEST_F(Open1k, AsksForTheLabelThatTheWordsName) {
  const auto probes = model_->ProbeWords("goldfish");
  ASSERT_TRUE(probes.ok()) << probes.message();
  ASSERT_EQ((*probes)[0].name, "pictures");
  const ProbeView& labels = (*probes)[0].views[1];
  EXPECT_TRUE(labels.log);
  EXPECT_TRUE(labels.divide_by_mean);
  const auto best = std::max_element(labels.vector.begin(), labels.vector.end());
  EXPECT_EQ(best - labels.vector.begin(), 1);  // ImageNet's second class
  EXPECT_EQ((*probes)[1].name, "passages");
}

TEST_F(Open1k, ReadsChineseWordsThroughTheDictionary) {
  EXPECT_EQ(Query("青蛙"), Query("frog"));
  EXPECT_EQ(Query("红色的汽车"), Query("red car"));
}

TEST_F(Open1k, FindsPicturesLikeOneThatIsStored) {
  const std::string picture = Picture(2);
  const ImageInput input{picture};
  const auto views = model_->EmbedPictures({&input, 1}).value()[0].views;
  const auto like = model_->ProbeLike(views);
  const auto shown = model_->ProbePicture(input);
  ASSERT_TRUE(like.ok() && shown.ok());
  EXPECT_EQ((*like)[0].views[0].vector, (*shown)[0].views[0].vector);
  const float same = Dot((*like)[0].views[0].vector, views[kVisual]);
  EXPECT_GE(Confidence((*like)[0], std::vector<float>{same}), (*like)[0].calibration.strong);
  EXPECT_EQ(model_->ProbeLike({}).code(), Code::kInvalid);
}

TEST_F(Open1k, RefusesPixelsOfAnotherSize) {
  const ImageInput small{"too few"};
  EXPECT_EQ(model_->EmbedPictures({&small, 1}).code(), Code::kInvalid);
  EXPECT_TRUE(model_->EmbedPictures({}).value().empty());
}

}  // namespace
}  // namespace msearch::embedding
