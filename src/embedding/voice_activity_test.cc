// The real models, where they were pulled.
#include "embedding/voice_activity.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "embedding/log_mel.h"
#include "embedding/test_models.h"
#include "embedding/whisper_model.h"
#include "support/speech.h"

namespace msearch::embedding {
namespace {

constexpr char kPack[] = "whisper-tiny";

std::string ModelFile(const char* name) { return TestModels() + "/" + kPack + "/" + name; }

TEST(VoiceActivity, BeginsAndEndsWithTheVoice) {
  SKIP_UNLESS_PULLED(kPack);
  SKIP_UNLESS_SPEAKING("slt");
  const auto voice =
      test::Spoken("slt", "We visited the old lighthouse on the coast, and watched the ships.");
  std::vector<float> samples(VoiceActivity::kFrame * 60, 0.0F);
  const size_t begin = samples.size() / VoiceActivity::kFrame;
  samples.insert(samples.end(), voice.begin(), voice.end());
  const size_t end = samples.size() / VoiceActivity::kFrame;
  samples.resize(VoiceActivity::kFrame * (end + 60), 0.0F);

  auto activity = VoiceActivity::Open(ModelFile("voice_activity.onnx"), {TestRuntime(), "cpu", 1});
  ASSERT_TRUE(activity.ok()) << activity.message();
  std::vector<size_t> voiced;
  for (size_t frame = 0; frame < end + 60; ++frame) {
    const auto probability = (*activity)->Probability(
        std::span(samples).subspan(frame * VoiceActivity::kFrame, VoiceActivity::kFrame));
    ASSERT_TRUE(probability.ok()) << probability.message();
    if (*probability >= 0.5F) voiced.push_back(frame);
  }
  ASSERT_FALSE(voiced.empty());
  EXPECT_GE(voiced.front(), begin);
  EXPECT_LE(voiced.front(), begin + 12);
  EXPECT_GE(voiced.back() + 12, end);
  EXPECT_LE(voiced.back(), end + 6);
  EXPECT_GE(voiced.size(), (voiced.back() - voiced.front()) * 3 / 4);
}

TEST(WhisperModel, SaysTheSameWithItsWeightsUnpacked) {
  SKIP_UNLESS_PULLED(kPack);
  const WhisperShape shape{80, 4, 6, 64};
  LogMel mel(shape.bands);
  std::vector<float> samples(LogMel::kSamples);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i] = 0.1F * static_cast<float>((i * 7919) % 101) / 101.0F;
  }
  const std::vector<float> picture = mel.Compute(samples);
  std::vector<std::vector<float>> scores;
  for (bool unpack : {false, true}) {
    const auto model = WhisperModel::Open(ModelFile("encoder.onnx"), ModelFile("decoder.onnx"),
                                          shape, {TestRuntime(), "cpu", 1, unpack});
    ASSERT_TRUE(model.ok()) << model.message();
    auto place = (*model)->Begin(picture, 50258);
    ASSERT_TRUE(place.ok()) << place.message();
    place = (*model)->Say(*place, 50259);
    ASSERT_TRUE(place.ok()) << place.message();
    const auto values = place->scores.values();
    scores.emplace_back(values.begin(), values.end());
  }
  ASSERT_EQ(scores[0].size(), scores[1].size());
  for (size_t i = 0; i < scores[0].size(); ++i) ASSERT_NEAR(scores[0][i], scores[1][i], 0.01F) << i;
}

}  // namespace
}  // namespace msearch::embedding
