// The real models, where they were pulled.
#include "embedding/voice_activity.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "embedding/test_models.h"
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

}  // namespace
}  // namespace msearch::embedding
