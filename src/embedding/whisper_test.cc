// The real model, where it was pulled.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/unicode.h"
#include "embedding/test_models.h"
#include "embedding/whisper_search.h"
#include "support/speech.h"

namespace msearch::embedding {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kPack[] = "whisper-tiny";
constexpr char kSentence[] =
    "My grandmother always said that the best bread is baked on a cold morning.";

class Whisper : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_PULLED(kPack);
    auto loaded = ModelPacks({TestManifests(), TestModels(), TestRuntime()})
                      .LoadTranscriber(kPack, {"cpu", 1});
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    transcriber_ = std::move(*loaded);
  }

  std::vector<SpokenText> Hear(const std::vector<float>& samples,
                               const TranscriptionOptions& options = {}) {
    size_t at = 0;
    const auto texts = transcriber_->Transcribe(
        [&]() -> Result<std::vector<float>> {
          const size_t end = std::min(samples.size(), at + 50000);
          std::vector<float> piece(samples.begin() + static_cast<ptrdiff_t>(at),
                                   samples.begin() + static_cast<ptrdiff_t>(end));
          at = end;
          return piece;
        },
        options);
    EXPECT_TRUE(texts.ok()) << texts.message();
    return texts.ok() ? *texts : std::vector<SpokenText>();
  }

  static std::string Joined(const std::vector<SpokenText>& texts) {
    std::string out;
    for (const SpokenText& text : texts) out += text.text + "\n";
    return out;
  }

  std::unique_ptr<Transcriber> transcriber_;
};

void Append(std::vector<float>& to, const std::vector<float>& samples) {
  to.insert(to.end(), samples.begin(), samples.end());
}

TEST_F(Whisper, WritesDownWhatWasSaid) {
  SKIP_UNLESS_SPEAKING("slt");
  const auto samples = test::Spoken("slt", kSentence);
  const auto texts = Hear(samples);
  ASSERT_FALSE(texts.empty());
  EXPECT_THAT(Joined(texts), HasSubstr("grandmother"));
  EXPECT_THAT(Joined(texts), HasSubstr("cold morning"));
  for (const SpokenText& text : texts) {
    EXPECT_EQ(text.language, "en");
    EXPECT_GE(text.start, 0);
    EXPECT_LE(text.start, text.end);
    EXPECT_LE(text.end, static_cast<double>(samples.size()) / 16000 + 0.1);
    EXPECT_GT(text.confidence, 0.3F);
  }
}

TEST_F(Whisper, KnowsWhenItWasSaid) {
  SKIP_UNLESS_SPEAKING("slt");
  std::vector<float> samples(3 * 16000, 0.0F);
  Append(samples, test::Spoken("slt", "We visited the old lighthouse on the coast last summer."));
  const double first_end = static_cast<double>(samples.size()) / 16000;
  samples.resize(samples.size() + 20 * 16000, 0.0F);
  const double second = static_cast<double>(samples.size()) / 16000;
  Append(samples, test::Spoken("slt", kSentence));
  const auto texts = Hear(samples);
  bool lighthouse = false, grandmother = false;
  for (const SpokenText& text : texts) {
    if (text.text.find("lighthouse") != std::string::npos) {
      lighthouse = true;
      EXPECT_NEAR(text.start, 3, 1);
      EXPECT_NEAR(text.end, first_end, 1);
    }
    if (text.text.find("grandmother") != std::string::npos) {
      grandmother = true;
      EXPECT_NEAR(text.start, second, 1);
    }
  }
  EXPECT_TRUE(lighthouse && grandmother) << Joined(texts);
}

TEST_F(Whisper, FindsNoWordsWhereNobodySpeaks) {
  EXPECT_THAT(Hear(std::vector<float>(60 * 16000, 0.0F)), IsEmpty());
  std::mt19937 random(3);
  std::normal_distribution<float> noise(0, 0.1F);
  std::vector<float> hiss, tone;
  for (size_t i = 0; i < 20 * 16000; ++i) {
    hiss.push_back(noise(random));
    tone.push_back(0.5F * std::sin(0.2F * static_cast<float>(i)));
  }
  EXPECT_THAT(Hear(hiss), IsEmpty());
  EXPECT_THAT(Hear(tone), IsEmpty());
  EXPECT_THAT(Hear({}), IsEmpty());
}

TEST_F(Whisper, WritesChineseInItsOwnCharacters) {
  SKIP_UNLESS_SPEAKING("espeak:cmn-latn-pinyin");
  // A robot's voice, so which characters doesn't say much; that they are Chinese does.
  const auto texts =
      Hear(test::Spoken("espeak:cmn-latn-pinyin", "今天天气很好，我们一起去公园散步。"), {{"zh"}});
  ASSERT_FALSE(texts.empty());
  EXPECT_EQ(texts[0].language, "zh");
  const std::u32string points = ToCodePoints(Joined(texts));
  EXPECT_GE(std::count_if(points.begin(), points.end(), IsHanPoint), 4) << Joined(texts);
}

TEST_F(Whisper, HearsTheSameWordsEachTime) {
  SKIP_UNLESS_SPEAKING("slt");
  const auto samples = test::Spoken("slt", kSentence);
  EXPECT_EQ(Joined(Hear(samples)), Joined(Hear(samples)));
}

TEST_F(Whisper, EndsWhenItsSourceDoes) {
  const auto texts = transcriber_->Transcribe(
      []() -> Result<std::vector<float>> {
        return Error{Code::kCancelled, "enough"};
      },
      {});
  ASSERT_FALSE(texts.ok());
  EXPECT_EQ(texts.code(), Code::kCancelled);
}

TEST_F(Whisper, RefusesALanguageThatItDoesntKnow) {
  const auto texts = transcriber_->Transcribe([] { return std::vector<float>(); }, {{"klingon"}});
  ASSERT_FALSE(texts.ok());
  EXPECT_EQ(texts.code(), Code::kInvalid);
  EXPECT_THAT(texts.message(), HasSubstr("klingon"));
}

std::vector<int64_t> Sentence(int64_t first, int64_t count) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(first + i);
  return out;
}

void Append(std::vector<int64_t>& to, const std::vector<int64_t>& tokens) {
  to.insert(to.end(), tokens.begin(), tokens.end());
}

TEST(LoopAtEnd, FindsWhatIsSaidAgainAndAgain) {
  auto loop = LoopAtEnd(std::vector<int64_t>{5, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3});
  ASSERT_TRUE(loop.has_value());
  EXPECT_EQ(loop->first, 1U);
  EXPECT_EQ(loop->again, 4U);
  loop = LoopAtEnd(std::vector<int64_t>{8, 9, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7});
  ASSERT_TRUE(loop.has_value());
  EXPECT_EQ(loop->first, 2U);
  EXPECT_EQ(loop->again, 3U);
}

TEST(LoopAtEnd, FindsWhatIsSaidAgainWithASmallChange) {
  std::vector<int64_t> tokens = Sentence(100, 20);
  std::optional<Loop> loop;
  for (int64_t time = 0; time < 6 && !loop; ++time) {
    if (time == 3) tokens.push_back(1000);
    Append(tokens, Sentence(500, 13));
    loop = LoopAtEnd(tokens);
    EXPECT_EQ(loop.has_value(), time >= 3) << time;
  }
  ASSERT_TRUE(loop.has_value());
  EXPECT_EQ(loop->first, 20U);
  EXPECT_EQ(loop->again, 33U);
}

TEST(LoopAtEnd, LeavesWhatPeopleRepeat) {
  EXPECT_FALSE(LoopAtEnd({}).has_value());
  EXPECT_FALSE(LoopAtEnd(std::vector<int64_t>{4}).has_value());
  EXPECT_FALSE(LoopAtEnd(std::vector<int64_t>{4, 4, 4, 4}).has_value());  // "no, no, no, no"
  EXPECT_FALSE(LoopAtEnd(std::vector<int64_t>{1, 2, 3, 1, 2, 3, 1, 2, 3, 4}).has_value());
  std::vector<int64_t> twice = Sentence(100, 30);
  for (int time = 0; time < 2; ++time) {
    Append(twice, Sentence(500, 24));
    EXPECT_FALSE(LoopAtEnd(twice).has_value());
  }
  Append(twice, Sentence(600, 40));
  EXPECT_FALSE(LoopAtEnd(twice).has_value());
}

TEST(Probabilities, AddUpToOne) {
  const std::vector<float> scores = {0, std::log(3.0F), -100};
  const std::vector<float> out = Probabilities(scores, {0, 1, 2});
  EXPECT_NEAR(out[0], 0.25, 1e-3);
  EXPECT_NEAR(out[1], 0.75, 1e-3);
  EXPECT_NEAR(out[2], 0, 1e-6);
}

}  // namespace
}  // namespace msearch::embedding
