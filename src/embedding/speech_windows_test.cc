#include "embedding/speech_windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace msearch::embedding {
namespace {

constexpr size_t kRate = SpeechWindows::kRate;

// A voice is whatever is loud.
Result<float> Loudness(std::span<const float> frame) {
  const float loudest = *std::max_element(frame.begin(), frame.end());
  return std::min(loudest, 1.0F);
}

// Recordings of sound and silence, in turns of so many seconds; each sample of sound is 0.5 plus a
// little that tells where it comes from.
std::vector<float> Recording(std::initializer_list<std::pair<bool, double>> parts) {
  std::vector<float> samples;
  for (const auto& [sounds, seconds] : parts) {
    const size_t end = samples.size() + static_cast<size_t>(seconds * kRate);
    while (samples.size() < end) samples.push_back(sounds ? 0.6F : 0.0F);
  }
  return samples;
}

std::vector<SpeechWindow> Cut(const std::vector<float>& recording, size_t piece = 7000) {
  std::vector<SpeechWindow> windows;
  SpeechWindows cutter(Loudness, [&](SpeechWindow window) -> Result<> {
    windows.push_back(std::move(window));
    return Ok{};
  });
  for (size_t begin = 0; begin < recording.size(); begin += piece) {
    const size_t count = std::min(piece, recording.size() - begin);
    EXPECT_TRUE(cutter.Add({recording.data() + begin, count}).ok());
  }
  EXPECT_TRUE(cutter.Finish().ok());
  return windows;
}

double Length(const SpeechWindow& window) {
  return static_cast<double>(window.samples.size()) / kRate;
}

TEST(SpeechWindows, LeaveOutSilence) {
  EXPECT_TRUE(Cut(Recording({{false, 100}})).empty());
  const auto windows = Cut(Recording({{false, 40}, {true, 5}, {false, 40}}));
  ASSERT_EQ(windows.size(), 1U);
  EXPECT_NEAR(Length(windows[0]), 5.4, 0.1);  // with a margin on either side
  EXPECT_NEAR(windows[0].BeginsAt(0), 39.8, 0.1);
  EXPECT_NEAR(windows[0].EndsAt(Length(windows[0])), 45.2, 0.1);
}

TEST(SpeechWindows, LeaveOutClicks) {
  EXPECT_TRUE(Cut(Recording({{false, 5}, {true, 0.05}, {false, 5}})).empty());
}

TEST(SpeechWindows, KeepShortPausesAndShortenLongOnes) {
  const auto windows = Cut(Recording({{true, 3}, {false, 0.3}, {true, 3}, {false, 5}, {true, 3}}));
  ASSERT_EQ(windows.size(), 1U);
  EXPECT_EQ(windows[0].pieces.size(), 2U);
  EXPECT_NEAR(Length(windows[0]), 6.3 + 0.5 + 3 + 0.4, 0.2);
}

TEST(SpeechWindows, KnowWhereTheirMomentsLie) {
  const auto windows = Cut(Recording({{false, 2}, {true, 3}, {false, 5}, {true, 3}, {false, 2}}));
  ASSERT_EQ(windows.size(), 1U);
  ASSERT_EQ(windows[0].pieces.size(), 2U);
  const double seam = static_cast<double>(windows[0].pieces[1].offset) / kRate;
  EXPECT_NEAR(windows[0].BeginsAt(1.2), 3, 0.1);
  EXPECT_NEAR(windows[0].EndsAt(1.2), 3, 0.1);
  EXPECT_NEAR(windows[0].BeginsAt(seam), 9.8, 0.1);
  EXPECT_NEAR(windows[0].EndsAt(seam), 5.2, 0.1);
  EXPECT_NEAR(windows[0].BeginsAt(seam - 0.2), 9.8, 0.1);  // within the pause
  EXPECT_NEAR(windows[0].EndsAt(seam + 1.2), 11, 0.1);
}

TEST(SpeechWindows, DontJoinWhatIsFarApart) {
  EXPECT_EQ(Cut(Recording({{true, 3}, {false, 60}, {true, 3}, {false, 9}, {true, 3}})).size(), 3U);
}

TEST(SpeechWindows, CutSpeechWithoutAPauseWhereItIsQuietest) {
  std::vector<float> recording = Recording({{true, 70}});
  std::fill(recording.begin() + 25 * kRate, recording.begin() + 25 * kRate + kRate / 10, 0.45F);
  const auto windows = Cut(recording);
  ASSERT_GE(windows.size(), 3U);
  EXPECT_NEAR(Length(windows[0]), 25.05, 0.1);
  size_t total = 0;
  for (const SpeechWindow& window : windows) {
    EXPECT_LE(window.samples.size(), SpeechWindows::kWindowMax);
    // Nothing is lost and nothing is heard twice.
    EXPECT_EQ(window.pieces[0].source, total);
    total += window.samples.size();
  }
  EXPECT_NEAR(static_cast<double>(total) / kRate, 70, 0.3);
}

TEST(SpeechWindows, AreFilledUpToAShortPauseOfWhatDoesntFit) {
  const auto windows = Cut(Recording(
      {{true, 20}, {false, 1}, {true, 4}, {false, 0.2}, {true, 9}, {false, 0.3}, {true, 8}}));
  ASSERT_EQ(windows.size(), 2U);
  ASSERT_EQ(windows[0].pieces.size(), 2U);
  EXPECT_NEAR(Length(windows[0]), 20.2 + 0.5 + 4.3, 0.2);
  const SpeechWindow::Piece& first = windows[0].pieces[1];
  EXPECT_EQ(windows[1].pieces[0].source, first.source + first.length);
  EXPECT_NEAR(windows[1].EndsAt(Length(windows[1])), 42.5, 0.2);

  // No pause, so nothing is cut through.
  const auto whole = Cut(Recording({{true, 20}, {false, 1}, {true, 21}}));
  ASSERT_EQ(whole.size(), 2U);
  EXPECT_NEAR(Length(whole[0]), 20.2, 0.2);
}

TEST(SpeechWindows, DontDependOnThePiecesInWhichARecordingComes) {
  const auto recording = Recording({{false, 1}, {true, 20}, {false, 2}, {true, 20}, {false, 1}});
  const auto whole = Cut(recording, recording.size());
  const auto parts = Cut(recording, 333);
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(whole[i].samples, parts[i].samples);
}

TEST(SpeechWindows, AreGivenAwayWhileTheRecordingGoesOn) {
  size_t given = 0;  // samples of the recording that were given away
  SpeechWindows cutter(Loudness, [&](const SpeechWindow& window) -> Result<> {
    given = window.pieces.back().source + window.pieces.back().length;
    return Ok{};
  });
  const auto minute = Recording({{true, 8}, {false, 1}, {true, 22}, {false, 3}, {true, 26}});
  size_t added = 0;
  for (int i = 0; i < 120; ++i) {
    ASSERT_TRUE(cutter.Add(minute).ok());
    added += minute.size();
    EXPECT_GE(given + 2 * SpeechWindows::kWindowMax, added);
  }
}

TEST(SpeechWindows, PassAnErrorOn) {
  SpeechWindows cutter(Loudness, [](const SpeechWindow&) -> Result<> {
    return Error{Code::kCancelled, "stop"};
  });
  const auto recording = Recording({{true, 2}, {false, 2}});
  ASSERT_TRUE(cutter.Add(recording).ok());
  EXPECT_EQ(cutter.Finish().code(), Code::kCancelled);
}

}  // namespace
}  // namespace msearch::embedding
