#include "media/sound_print.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numbers>
#include <random>

namespace msearch::media {
namespace {

using Samples = std::vector<float>;

constexpr size_t kRate = SoundPrinter::kRate;

Samples Noise(double seconds, float loudness, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> any(-loudness, loudness);
  Samples out(static_cast<size_t>(seconds * kRate));
  for (float& sample : out) sample = any(random);
  return out;
}

// Notes of random pitch and length with overtones that die away.
Samples Tune(double seconds, unsigned seed) {
  std::mt19937 random(seed);
  Samples out(static_cast<size_t>(seconds * kRate));
  for (size_t begin = 0; begin < out.size();) {
    const size_t length = kRate / 4 * (1 + random() % 4);
    const double hertz = 200 * std::pow(2.0, static_cast<double>(random() % 24) / 12);
    for (size_t i = 0; i < length && begin + i < out.size(); ++i) {
      const double at = static_cast<double>(i) / kRate;
      for (int overtone = 1; overtone <= 4; ++overtone) {
        out[begin + i] +=
            static_cast<float>(0.15 / overtone * std::exp(-3 * at) *
                               std::sin(2 * std::numbers::pi * hertz * overtone * at));
      }
    }
    begin += length;
  }
  return out;
}

SoundPrint PrintOf(const Samples& samples) {
  SoundPrinter printer;
  // In pieces of odd sizes, as decoders give them.
  for (size_t at = 0; at < samples.size(); at += 1013) {
    printer.Add(std::span(samples).subspan(at, std::min<size_t>(1013, samples.size() - at)));
  }
  std::vector<std::pair<double, double>> windows;
  const double seconds = static_cast<double>(samples.size()) / kRate;
  for (double start = 0; start < seconds; start += 10) windows.emplace_back(start, start + 10);
  return printer.Finish(windows);
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

double ErrorRate(const std::vector<uint32_t>& a, size_t from, const std::vector<uint32_t>& b) {
  double bits = 0;
  for (size_t i = 0; i < b.size(); ++i) bits += std::popcount(a[from + i] ^ b[i]);
  return bits / (32.0 * static_cast<double>(b.size()));
}

TEST(SoundPrint, OfAnExcerptLiesInThatOfTheWhole) {
  const Samples whole = Tune(40, 1);
  const SoundPrint print = PrintOf(whole);
  EXPECT_NEAR(static_cast<double>(print.fingerprint.size()) * SoundPrint::kItemSeconds, 38, 1.5);
  // Between two items, with noise 10 dB below.
  const size_t begin = 15 * kRate + 777;
  Samples excerpt(whole.begin() + begin, whole.begin() + begin + 10 * kRate);
  const Samples noise = Noise(10, 0.03F, 2);
  for (size_t i = 0; i < excerpt.size(); ++i) excerpt[i] += noise[i];
  const SoundPrint part = PrintOf(excerpt);
  double best = 1;
  size_t place = 0;
  for (size_t from = 0; from + part.fingerprint.size() <= print.fingerprint.size(); ++from) {
    const double rate = ErrorRate(print.fingerprint, from, part.fingerprint);
    if (rate < best) {
      best = rate;
      place = from;
    }
  }
  EXPECT_LT(best, 0.2);
  EXPECT_NEAR(static_cast<double>(place) * SoundPrint::kItemSeconds, 15.05, 0.2);
}

TEST(SoundPrint, SilenceHasNone) {
  for (const Samples& samples : {Samples(kRate * 20), Noise(20, 0.0005F, 3)}) {
    const SoundPrint print = PrintOf(samples);
    for (uint32_t item : print.fingerprint) EXPECT_EQ(item, 0U);
    ASSERT_EQ(print.windows.size(), 2U);
    EXPECT_TRUE(print.windows[0].empty());
    EXPECT_TRUE(print.windows[1].empty());
  }
}

TEST(SoundPrint, SilenceWithinASoundIsLeftOut) {
  Samples samples = Tune(10, 4);
  samples.resize(kRate * 30);
  const SoundPrint print = PrintOf(samples);
  ASSERT_EQ(print.windows.size(), 3U);
  EXPECT_FALSE(print.windows[0].empty());
  EXPECT_TRUE(print.windows[1].empty());
  EXPECT_NE(print.fingerprint.at(10), 0U);
  EXPECT_EQ(print.fingerprint.at(150), 0U);
}

TEST(SoundPrint, SoundsAlikeAreNearerThanOthers) {
  const SoundPrint tune = PrintOf(Tune(10, 5));
  const SoundPrint other_tune = PrintOf(Tune(10, 6));
  const SoundPrint noise = PrintOf(Noise(10, 0.2F, 7));
  const SoundPrint other_noise = PrintOf(Noise(10, 0.1F, 8));
  const double tunes = Cosine(tune.windows[0], other_tune.windows[0]);
  const double noises = Cosine(noise.windows[0], other_noise.windows[0]);
  const double between = Cosine(tune.windows[0], noise.windows[0]);
  EXPECT_GT(tunes, between + 0.3);
  EXPECT_GT(noises, between + 0.3);
  EXPECT_NEAR(Cosine(tune.windows[0], tune.windows[0]), 1, 1e-5);
}

TEST(SoundPrint, SurvivesTheJourney) {
  Samples samples = Tune(12, 9);
  samples.resize(kRate * 30);
  const SoundPrint print = PrintOf(samples);
  const auto again = SoundPrint::Decode(print.Encode());
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_EQ(again->fingerprint, print.fingerprint);
  EXPECT_EQ(again->windows, print.windows);
}

TEST(SoundPrint, BrokenBytesAreRefused) {
  const std::string bytes = PrintOf(Tune(12, 10)).Encode();
  for (size_t size : {size_t{0}, size_t{3}, bytes.size() / 2, bytes.size() - 1}) {
    EXPECT_FALSE(SoundPrint::Decode(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  std::string many = bytes;
  many[3] = '\x7F';
  EXPECT_FALSE(SoundPrint::Decode(many).ok());
  std::string wild = bytes;
  std::fill(wild.end() - 8, wild.end(), '\xFF');  // no numbers
  EXPECT_FALSE(SoundPrint::Decode(wild).ok());
}

}  // namespace
}  // namespace msearch::media
