// What readers make of what models find.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/ocr_reader.h"
#include "ingest/sounds_reader.h"
#include "ingest/speech_reader.h"

namespace msearch::ingest {
namespace {

using embedding::SeenLine;
using embedding::SpokenText;

std::vector<std::string> Texts(const std::vector<media::Segment>& segments) {
  std::vector<std::string> out;
  for (const media::Segment& segment : segments) out.push_back(segment.text);
  return out;
}

TEST(SpeechPassages, JoinTextsUntilASentenceEnds) {
  const auto passages = SpeechPassages({{0, 4, "We went to the", "en", 1},
                                        {4, 9, "old lighthouse.", "en", 1},
                                        {9.5, 12, "Then it rained.", "en", 1}});
  EXPECT_THAT(Texts(passages),
              testing::ElementsAre("We went to the old lighthouse.", "Then it rained."));
  EXPECT_EQ(passages[0].kind, media::SegmentKind::kSpeech);
  EXPECT_EQ(passages[0].start_time, 0);
  EXPECT_EQ(passages[0].end_time, 9);
  EXPECT_EQ(passages[1].index, 1U);
}

TEST(SpeechPassages, JoinShortSentences) {
  EXPECT_THAT(Texts(SpeechPassages({{0, 1, "Stop.", "en", 1}, {1, 2, "Now.", "en", 1}})),
              testing::ElementsAre("Stop. Now."));
}

TEST(SpeechPassages, JoinChineseWithoutASpace) {
  EXPECT_THAT(
      Texts(SpeechPassages({{0, 2, "今天天气很好", "zh", 1}, {2, 4, "我们去公园", "zh", 1}})),
      testing::ElementsAre("今天天气很好我们去公园"));
}

TEST(SpeechPassages, PartAtPausesAndLanguagesAndLength) {
  EXPECT_EQ(SpeechPassages({{0, 2, "one", "en", 1}, {9, 10, "two", "en", 1}}).size(), 2U);
  EXPECT_EQ(SpeechPassages({{0, 2, "one", "en", 1}, {2, 3, "zwei", "de", 1}}).size(), 2U);
  std::vector<SpokenText> endless;
  for (int i = 0; i < 100; ++i) endless.push_back({i * 2.0, i * 2.0 + 2, "and then", "en", 1});
  for (const media::Segment& passage : SpeechPassages(endless)) {
    EXPECT_LE(*passage.end_time - *passage.start_time, 30);
  }
  EXPECT_TRUE(SpeechPassages({}).empty());
}

TEST(SpeechReaderKey, ChangesWithTheLanguages) {
  EXPECT_EQ(SpeechReaderKey("tiny-1", {}), "tiny-1");
  EXPECT_NE(SpeechReaderKey("tiny-1", {"zh"}), SpeechReaderKey("tiny-1", {"en"}));
}

TEST(TextSegments, KeepLinesAndTheBoxesOfWords) {
  const std::vector<SeenLine> lines = {
      {"Open daily",
       0.9F,
       {0, 0, 1, 0.1F},
       {{"Open", {0, 0, 0.4F, 0.1F}}, {"daily", {0.5F, 0, 0.5F, 0.1F}}}},
      {"till six", 0.9F, {0, 0.2F, 1, 0.1F}, {{"till", {0, 0.2F, 0.4F, 0.1F}}}}};
  const auto segments = TextSegments(lines);
  ASSERT_EQ(segments.size(), 1U);
  EXPECT_EQ(segments[0].kind, media::SegmentKind::kText);
  EXPECT_EQ(segments[0].text, "Open daily\ntill six");
  ASSERT_EQ(segments[0].boxes.size(), 3U);
  EXPECT_EQ(segments[0].boxes[1].text, "daily");
  EXPECT_EQ(segments[0].boxes[1].x, 0.5F);
  EXPECT_TRUE(TextSegments({}).empty());
}

TEST(TextSegments, PartLongPages) {
  std::vector<SeenLine> lines(40, {"ten words of text stand in this line of it", 1, {}, {}});
  EXPECT_EQ(TextSegments(lines).size(), 3U);
  lines.assign(20, {"这一行有十二个汉字在里面", 1, {}, {}});
  EXPECT_EQ(TextSegments(lines).size(), 2U);
}

TEST(SoundSegments, JoinWindowsInWhichTheLikeliestSoundGoesOn) {
  const auto segments = SoundSegments({{0, 2.4, {{"Dog", 0.9F}, {"Bark", 0.5F}}},
                                       {2.4, 4.8, {{"Bark", 0.8F}, {"Dog", 0.7F}}},
                                       {4.8, 7.2, {{"Rain", 0.6F}}},
                                       {9.6, 12, {{"Rain", 0.6F}, {"Chirp, tweet", 0.4F}}}});
  EXPECT_THAT(Texts(segments), testing::ElementsAre("Dog; Bark", "Rain", "Rain; Chirp, tweet"));
  EXPECT_EQ(segments[0].kind, media::SegmentKind::kHeard);
  EXPECT_EQ(segments[0].start_time, 0);
  EXPECT_EQ(segments[0].end_time, 4.8);
  EXPECT_EQ(segments[2].start_time, 9.6);
  EXPECT_EQ(segments[2].index, 2U);
}

TEST(SoundSegments, LeaveOutSpeechAndSilence) {
  EXPECT_THAT(Texts(SoundSegments({{0, 2.4, {{"Speech", 0.9F}, {"Applause", 0.5F}}},
                                   {2.4, 4.8, {{"Speech", 0.9F}}},
                                   {4.8, 7.2, {{"Silence", 1.0F}}}})),
              testing::ElementsAre("Applause"));
  EXPECT_TRUE(SoundSegments({}).empty());
}

TEST(SoundSegments, OfALongSoundAreShortEnoughToFindTheMomentBy) {
  std::vector<embedding::HeardWindow> windows;
  for (int i = 0; i < 100; ++i) {
    windows.push_back({i * 2.4, i * 2.4 + 2.4, {{"Music", 0.9F}}});
  }
  const auto segments = SoundSegments(windows);
  EXPECT_EQ(segments.size(), 4U);
  for (const media::Segment& segment : segments) {
    EXPECT_LE(*segment.end_time - *segment.start_time, 60.001);
  }
}

TEST(MayShowText, OnlyInDocumentsWithPagesThatLackIt) {
  EXPECT_TRUE(MayShowText("image", Json()));
  EXPECT_TRUE(MayShowText("video", Json::object()));
  EXPECT_FALSE(MayShowText("document", Json::object()));
  EXPECT_TRUE(MayShowText("document", {{"pages_without_text", {2}}}));
}

}  // namespace
}  // namespace msearch::ingest
