// The real model, where it was pulled.
#include "embedding/whisper_model.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "embedding/log_mel.h"
#include "embedding/test_models.h"

namespace msearch::embedding {
namespace {

constexpr char kPack[] = "whisper-tiny";
constexpr WhisperShape kShape{80, 4, 6, 64};
constexpr int64_t kStart = 50258, kEnglish = 50259, kGerman = 50261, kTranscribe = 50359;

std::string ModelFile(const char* name) { return TestModels() + "/" + kPack + "/" + name; }

std::vector<float> Noise() {
  std::vector<float> samples(LogMel::kSamples);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i] = 0.1F * static_cast<float>((i * 7919) % 101) / 101.0F;
  }
  return LogMel(kShape.bands).Compute(samples);
}

void ExpectSame(std::span<const float> a, std::span<const float> b, float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance) << i;
}

class WhisperModelTest : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_PULLED(kPack);
    auto model = WhisperModel::Open(ModelFile("encoder.onnx"), ModelFile("decoder.onnx"), kShape,
                                    {TestRuntime(), "cpu", 1, true});
    ASSERT_TRUE(model.ok()) << model.message();
    model_ = std::move(*model);
    auto heard = model_->Hear(Noise());
    ASSERT_TRUE(heard.ok()) << heard.message();
    heard_ = *heard;
  }

  std::unique_ptr<WhisperModel> model_;
  HeldTensor heard_;
};

TEST_F(WhisperModelTest, ScoresAsTheModelsDoThatItWasMadeOf) {
  const auto encoder = Session::Open(ModelFile("encoder.onnx"), {TestRuntime(), "cpu", 1});
  ASSERT_TRUE(encoder.ok()) << encoder.message();
  const std::vector<float> mel = Noise();
  const TensorView picture{
      "input_features", TensorView::Type::kFloat, {1, 80, LogMel::kFrames}, mel.data()};
  const auto heard = (*encoder)->RunHeld({&picture, 1}, {"last_hidden_state"});
  ASSERT_TRUE(heard.ok()) << heard.message();
  ExpectSame((*heard)[0].values(), heard_.values(), 1e-3F);

  const auto decoder = Session::Open(ModelFile("decoder.onnx"), {TestRuntime(), "cpu", 1});
  ASSERT_TRUE(decoder.ok()) << decoder.message();
  const std::vector<int64_t> tokens = {kStart, kEnglish, kTranscribe};
  const uint8_t use_cache = 0;
  std::vector<TensorView> inputs = {{"input_ids", TensorView::Type::kInt64, {1, 3}, tokens.data()},
                                    heard_.As("encoder_hidden_states"),
                                    {"use_cache_branch", TensorView::Type::kBool, {1}, &use_cache}};
  for (const std::string& name : (*decoder)->inputs()) {
    if (!name.starts_with("past_key_values.")) continue;
    inputs.push_back({name, TensorView::Type::kFloat, {1, 6, 0, 64}, nullptr});
  }
  const auto scores = (*decoder)->Run(inputs, {"logits"});
  ASSERT_TRUE(scores.ok()) << scores.message();
  const auto begun = model_->Begin(heard_, tokens);
  ASSERT_TRUE(begun.ok()) << begun.message();
  const std::span<const float> all = (*scores)[0].values;
  const size_t count = all.size() / 3;
  ExpectSame(all.first(count), begun->first_scores.values(), 0.01F);
  ExpectSame(all.last(count), begun->place.scores.values(), 0.01F);
}

TEST_F(WhisperModelTest, GoesOnFromWhereItWentBackTo) {
  const auto german = model_->Begin(heard_, std::vector<int64_t>{kStart, kGerman, kTranscribe});
  ASSERT_TRUE(german.ok()) << german.message();
  const auto start = model_->Begin(heard_, std::vector<int64_t>{kStart});
  ASSERT_TRUE(start.ok()) << start.message();
  const auto after_back = model_->Say(model_->Back(german->place, 1), kEnglish);
  const auto after_start = model_->Say(start->place, kEnglish);
  ASSERT_TRUE(after_back.ok() && after_start.ok());
  ASSERT_EQ(after_back->said[0].shape(), after_start->said[0].shape());
  // The beginnings were rounded to 8 bits together with other tokens, so not quite the same.
  ExpectSame(after_back->scores.values(), after_start->scores.values(), 2);
  const auto best = [](const HeldTensor& scores) {
    const auto values = scores.values();
    return std::max_element(values.begin(), values.end()) - values.begin();
  };
  EXPECT_EQ(best(after_back->scores), best(after_start->scores));
}

TEST_F(WhisperModelTest, RefusesAPictureOfAnotherSize) {
  EXPECT_EQ(model_->Hear(std::vector<float>(80)).code(), Code::kInvalid);
}

}  // namespace
}  // namespace msearch::embedding
