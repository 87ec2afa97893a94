#include "embedding/embedder.h"

#include <gtest/gtest.h>

namespace msearch::embedding {
namespace {

ModelInfo Example() {
  ModelInfo info;
  info.name = "example";
  info.key = "example-0123";
  info.views = {{"semantic", 384}, {"labels", 1000}};
  info.image = {224, 192, ImageInputSpec::Fit::kPad};
  info.embeds_pictures = false;
  info.embeds_passages = true;
  info.answers_words = true;
  info.passage_words_max = 120;
  return info;
}

TEST(ModelInfo, ComesBackFromJsonAsItWas) {
  const ModelInfo info = Example();
  const auto back = ModelInfo::FromJson(ParseJson(DumpJson(info.ToJson())).value());
  ASSERT_TRUE(back.ok()) << back.message();
  EXPECT_EQ(back->ToJson(), info.ToJson());
  EXPECT_EQ(back->image, info.image);
  EXPECT_EQ(back->views[1].dimensions, 1000U);
}

TEST(ModelInfo, RefusesWhatIsNoModel) {
  Json json = Example().ToJson();
  json["views"][0]["dimensions"] = 0;
  EXPECT_EQ(ModelInfo::FromJson(json).code(), Code::kInvalid);
  json = Example().ToJson();
  json.erase("key");
  EXPECT_EQ(ModelInfo::FromJson(json).code(), Code::kInvalid);
  json = Example().ToJson();
  json["image"]["fit"] = "squeeze";
  EXPECT_EQ(ModelInfo::FromJson(json).code(), Code::kInvalid);
  EXPECT_EQ(ModelInfo::FromJson(Json::array()).code(), Code::kInvalid);
}

TEST(ImageInputSpec, RefusesSidesThatNoModelHas) {
  EXPECT_FALSE(ImageInputSpec::FromJson({{"width", -1}, {"height", 9}, {"fit", "pad"}}).ok());
  EXPECT_FALSE(ImageInputSpec::FromJson({{"width", 9}, {"height", 99999}, {"fit", "pad"}}).ok());
  EXPECT_TRUE(ImageInputSpec::FromJson({{"width", 0}, {"height", 0}, {"fit", "stretch"}}).ok());
}

TEST(Confidence, IsTheSigmoidOfTheWeightedViews) {
  const Probe probe{"pictures",
                    {{0, {}, false, 1, false}, {1, {}, true, 1, true}},
                    {.bias = -2, .slopes = {4, 0.5F}}};
  const std::vector<float> values = {0.5F, std::exp(2.0F)};
  EXPECT_NEAR(Confidence(probe, values), 1 / (1 + std::exp(-(-2.0 + 4 * 0.5 + 0.5 * 2))), 1e-6);
}

TEST(Confidence, SurvivesTheLogarithmOfNothing) {
  const Probe probe{"pictures", {{0, {}, true, 1, true}}, {.bias = 0, .slopes = {1}}};
  const std::vector<float> nothing = {0.0F};
  EXPECT_GT(Confidence(probe, nothing), 0);
  EXPECT_LT(Confidence(probe, nothing), 0.001F);
}

}  // namespace
}  // namespace msearch::embedding
