#include "embedding/log_mel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <random>

namespace msearch::embedding {
namespace {

// The definition, as directly as it can be written: the Fourier sum of a frame, and each band's
// triangle between three points that are equally far apart in mel.
double HzOfMel(double mel) {
  return mel <= 15 ? mel * 200 / 3 : 1000 * std::pow(6.4, (mel - 15) / 27);
}

double PowerAt(const std::vector<double>& frame, size_t bin) {
  std::complex<double> sum = 0;
  for (size_t i = 0; i < 400; ++i) {
    const double hann = std::pow(std::sin(std::numbers::pi * static_cast<double>(i) / 400), 2);
    sum += frame[i] * hann *
           std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(bin * i) / 400);
  }
  return std::norm(sum);
}

double BandOf(const std::vector<double>& frame, size_t band, size_t bands) {
  const double mel_max = 15 + 27 * std::log(8.0) / std::log(6.4);  // of 8 kHz
  double edges[3];
  for (size_t i = 0; i < 3; ++i) {
    edges[i] = HzOfMel(mel_max * static_cast<double>(band + i) / static_cast<double>(bands + 1));
  }
  double sum = 0;
  for (size_t bin = 0; bin <= 200; ++bin) {
    const double hz = static_cast<double>(bin) * 40;
    double weight = 0;
    if (hz > edges[0] && hz <= edges[1]) weight = (hz - edges[0]) / (edges[1] - edges[0]);
    if (hz > edges[1] && hz < edges[2]) weight = (edges[2] - hz) / (edges[2] - edges[1]);
    if (weight > 0) sum += weight * 2 / (edges[2] - edges[0]) * PowerAt(frame, bin);
  }
  return std::log10(std::max(sum, 1e-10));
}

// Samples of frame `t`, mirrored at the beginning of the window and at its end.
std::vector<double> FrameAt(const std::vector<float>& samples, size_t t) {
  std::vector<double> frame;
  for (int64_t i = 0; i < 400; ++i) {
    int64_t at = std::abs(static_cast<int64_t>(t * 160) + i - 200);
    if (at >= 480000) at = 2 * 479999 - at;
    frame.push_back(at < static_cast<int64_t>(samples.size()) ? samples[static_cast<size_t>(at)]
                                                              : 0.0);
  }
  return frame;
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

void ExpectAsDefined(const std::vector<float>& samples, std::initializer_list<size_t> frames) {
  LogMel mel(80);
  const std::vector<float> out = mel.Compute(samples);
  ASSERT_EQ(out.size(), 80U * 3000);
  // What is cut off 8 below the loudest value, of all frames.
  const float loudest = *std::max_element(out.begin(), out.end()) * 4 - 4;
  for (size_t t : frames) {
    const std::vector<double> frame = FrameAt(samples, t);
    for (size_t band = 0; band < 80; ++band) {
      const double defined = (std::max(BandOf(frame, band, 80), double{loudest} - 8) + 4) / 4;
      EXPECT_NEAR(out[band * 3000 + t], defined, 1e-3) << "frame " << t << ", band " << band;
    }
  }
}

TEST(LogMel, IsTheDefinitionComputedQuickly) {
  ExpectAsDefined(ToneInNoise(32000), {0, 1, 2, 57, 100, 198, 199, 200, 201, 202, 1500});
}

TEST(LogMel, MirrorsTheEndsOfAFullWindow) {
  ExpectAsDefined(ToneInNoise(LogMel::kSamples), {0, 1, 2998, 2999});
}

TEST(LogMel, ShowsATonesPitch) {
  LogMel mel(80);
  std::vector<float> samples(16000);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i] =
        static_cast<float>(std::sin(2 * std::numbers::pi * 2000 * static_cast<double>(i) / 16000));
  }
  const std::vector<float> out = mel.Compute(samples);
  size_t loudest = 0;
  for (size_t band = 0; band < 80; ++band) {
    if (out[band * 3000 + 50] > out[loudest * 3000 + 50]) loudest = band;
  }
  // 2 kHz lies at mel 25.1 of 45.2, so at band 44 of 80.
  EXPECT_NEAR(static_cast<double>(loudest), 44, 1);
}

TEST(LogMel, OfSilenceIsFlat) {
  LogMel mel(80);
  for (float value : mel.Compute({})) EXPECT_FLOAT_EQ(value, -1.5F);
}

TEST(LogMel, TakesAWindowAtMost) {
  LogMel mel(80);
  const std::vector<float> samples = ToneInNoise(LogMel::kSamples + 1000);
  EXPECT_EQ(mel.Compute(samples), mel.Compute(std::span(samples).first(LogMel::kSamples)));
}

}  // namespace
}  // namespace msearch::embedding
