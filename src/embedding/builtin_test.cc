#include <gtest/gtest.h>

#include <cmath>

#include "embedding/test_models.h"
#include "embedding/vectors.h"

namespace msearch::embedding {
namespace {

constexpr int kSide = 128;

// A picture by a function of x and y (0 to 1) that gives red, green and blue (0 to 1).
template <typename Paint>
std::string Picture(Paint&& paint) {
  std::string rgb;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const std::array<double, 3> colour = paint((x + 0.5) / kSide, (y + 0.5) / kSide);
      for (double value : colour) rgb += static_cast<char>(std::lround(255 * value));
    }
  }
  return rgb;
}

using Colour = std::array<double, 3>;

class Builtin : public testing::Test {
 protected:
  Builtin() : model_(ModelPacks({TestManifests(), "/nowhere", ""}).Load("builtin", {}).value()) {}

  std::vector<std::vector<float>> Embed(const std::string& rgb) {
    const ImageInput input{rgb};
    return model_->EmbedPictures({&input, 1}).value()[0].views;
  }
  float Likeness(const std::string& a, const std::string& b) {
    const auto probe = model_->ProbePicture({a}).value()[0];
    const auto other = Embed(b);
    std::vector<float> by_view;
    for (const ProbeView& view : probe.views) by_view.push_back(Dot(view.vector, other[view.view]));
    return Confidence(probe, by_view);
  }

  std::unique_ptr<Embedder> model_;
  const std::string circle_ = Picture([](double x, double y) {
    return std::hypot(x - 0.5, y - 0.5) < 0.3 ? Colour{0.9, 0.1, 0.1} : Colour{1, 1, 1};
  });
  const std::string shifted_ = Picture([](double x, double y) {
    return std::hypot(x - 0.51, y - 0.49) < 0.31 ? Colour{0.85, 0.12, 0.1} : Colour{1, 1, 1};
  });
  const std::string stripes_ = Picture([](double x, double) {
    return std::fmod(x * 6, 1) < 0.5 ? Colour{0.1, 0.2, 0.8} : Colour{0.9, 0.9, 0.2};
  });
  const std::string flat_ = Picture([](double, double) { return Colour{0.5, 0.5, 0.5}; });
};

TEST_F(Builtin, NeedsNeitherFilesNorRuntime) {
  const ModelPacks packs({TestManifests(), "/nowhere", "/nowhere/libonnxruntime.so.1"});
  EXPECT_EQ(packs.Status("builtin")->state, "ready");
  const auto info = packs.Info("builtin");
  ASSERT_TRUE(info.ok()) << info.message();
  EXPECT_EQ(info->ToJson(), model_->info().ToJson());
  EXPECT_FALSE(info->answers_words);
  EXPECT_EQ(packs.Load("builtin", {"cuda", 1}).code(), Code::kUnsupported);
}

TEST_F(Builtin, GivesVectorsOfLengthOneInTheSizesItPromises) {
  for (const std::string& picture : {circle_, stripes_, flat_}) {
    const auto views = Embed(picture);
    ASSERT_EQ(views.size(), model_->info().views.size());
    for (size_t i = 0; i < views.size(); ++i) {
      EXPECT_EQ(views[i].size(), model_->info().views[i].dimensions);
      EXPECT_NEAR(Dot(views[i], views[i]), 1, 1e-5);
    }
  }
}

TEST_F(Builtin, IsDeterministic) { EXPECT_EQ(Embed(circle_), Embed(circle_)); }

TEST_F(Builtin, CallsNearCopiesStrongAndOtherPicturesNothing) {
  const Calibration calibration = model_->ProbePicture({circle_}).value()[0].calibration;
  EXPECT_GE(Likeness(circle_, circle_), calibration.strong);
  EXPECT_GE(Likeness(circle_, shifted_), calibration.strong);
  EXPECT_LT(Likeness(circle_, stripes_), calibration.weak);
  EXPECT_LT(Likeness(circle_, flat_), calibration.weak);
}

TEST_F(Builtin, FindsLikePicturesFromAStoredEmbedding) {
  const auto probe = model_->ProbeLike(Embed(circle_));
  ASSERT_TRUE(probe.ok()) << probe.message();
  EXPECT_EQ((*probe)[0].name, "similar");
  EXPECT_EQ(model_->ProbeLike({{1.0F}}).code(), Code::kInvalid);
}

TEST_F(Builtin, RefusesWhatItCantDo) {
  const ImageInput small{"abc"};
  EXPECT_EQ(model_->EmbedPictures({&small, 1}).code(), Code::kInvalid);
  EXPECT_EQ(model_->ProbeWords("frog").code(), Code::kUnsupported);
  const std::string passage = "frog";
  EXPECT_EQ(model_->EmbedPassages({&passage, 1}).code(), Code::kUnsupported);
}

}  // namespace
}  // namespace msearch::embedding
