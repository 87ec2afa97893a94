#include "embedding/yamnet_mel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <random>

namespace msearch::embedding {
namespace {

// The definition, as directly as it can be written: the Fourier sum of a frame of 400 samples in
// 512, and each band's triangle in mel between three of 66 points.
double Mel(double hz) { return 1127 * std::log(1 + hz / 700); }

double MagnitudeAt(const std::vector<float>& samples, size_t frame, size_t bin) {
  std::complex<double> sum = 0;
  for (size_t i = 0; i < 400; ++i) {
    const size_t at = frame * 160 + i;
    if (at >= samples.size()) break;
    const double hann = std::pow(std::sin(std::numbers::pi * static_cast<double>(i) / 400), 2);
    sum += samples[at] * hann *
           std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(bin * i) / 512);
  }
  return std::abs(sum);
}

double BandAt(const std::vector<float>& samples, size_t frame, size_t band) {
  double edges[3];
  for (size_t i = 0; i < 3; ++i) {
    edges[i] = Mel(125) + (Mel(7500) - Mel(125)) * static_cast<double>(band + i) / 65;
  }
  double sum = 0;
  for (size_t bin = 1; bin <= 256; ++bin) {
    const double mel = Mel(static_cast<double>(bin) * 16000 / 512);
    double weight = 0;
    if (mel > edges[0] && mel <= edges[1]) weight = (mel - edges[0]) / (edges[1] - edges[0]);
    if (mel > edges[1] && mel < edges[2]) weight = (edges[2] - mel) / (edges[2] - edges[1]);
    if (weight > 0) sum += weight * MagnitudeAt(samples, frame, bin);
  }
  return std::log(sum + 0.001);
}

std::vector<float> ToneInNoise(size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> noise(0, 0.05F);
  std::vector<float> samples;
  for (size_t i = 0; i < count; ++i) {
    const double phase = 2 * std::numbers::pi * 440 * static_cast<double>(i) / 16000;
    samples.push_back(0.3F * static_cast<float>(std::sin(phase)) + noise(random));
  }
  return samples;
}

void ExpectAsDefined(const std::vector<float>& samples, size_t patches,
                     std::initializer_list<size_t> rows) {
  const std::vector<float> out = YamnetMel().Compute(samples);
  ASSERT_EQ(out.size(), patches * 96 * 64);
  for (size_t patch = 0; patch < patches; ++patch) {
    for (size_t row : rows) {
      for (size_t band = 0; band < 64; ++band) {
        EXPECT_NEAR(out[(patch * 96 + row) * 64 + band], BandAt(samples, patch * 48 + row, band),
                    1e-3)
            << "patch " << patch << ", row " << row << ", band " << band;
      }
    }
  }
}

TEST(YamnetMel, IsTheDefinitionComputedQuickly) {
  ExpectAsDefined(ToneInNoise(15600 + 7680), 2, {0, 1, 47, 48, 95});
}

TEST(YamnetMel, FillsUpWithSilence) {
  ExpectAsDefined(ToneInNoise(8000), 1, {0, 47, 48, 49, 50, 95});
}

TEST(YamnetMel, HearsTheLastSample) {
  EXPECT_EQ(YamnetMel::PatchesOf(0), 1U);
  EXPECT_EQ(YamnetMel::PatchesOf(15600), 1U);
  EXPECT_EQ(YamnetMel::PatchesOf(15601), 2U);
  EXPECT_EQ(YamnetMel::PatchesOf(15600 + 7680), 2U);
  EXPECT_EQ(YamnetMel::PatchesOf(15600 + 7681), 3U);
  EXPECT_EQ(YamnetMel::SamplesOf(3), 15600U + 2 * 7680);
}

TEST(YamnetMel, OfSilenceIsFlat) {
  for (float value : YamnetMel().Compute({})) EXPECT_FLOAT_EQ(value, std::log(0.001F));
}

}  // namespace
}  // namespace msearch::embedding
