#include "embedding/log_mel.h"

#include <algorithm>
#include <cmath>

// Frames of 25 ms, centred at every 10 ms (the sound is mirrored at its ends), under a Hann window;
// power spectrum; triangular bands on Slaney's mel scale, each of the same area; logarithm to base
// 10, cut 8 below the window's loudest value, then brought to about -1 to 1.

namespace msearch::embedding {
namespace {

constexpr size_t kFrame = 400;
constexpr size_t kHop = 160;
constexpr float kFloor = 1e-10F;

// Slaney's scale: linear below 1 kHz, logarithmic above.
constexpr double kLinearHz = 200.0 / 3;
constexpr double kKneeHz = 1000.0;
constexpr double kKneeMel = kKneeHz / kLinearHz;
const double kLogStep = std::log(6.4) / 27;

double ToMel(double hz) {
  return hz < kKneeHz ? hz / kLinearHz : kKneeMel + std::log(hz / kKneeHz) / kLogStep;
}

double ToHz(double mel) {
  return mel < kKneeMel ? mel * kLinearHz : kKneeHz * std::exp(kLogStep * (mel - kKneeMel));
}

double Weight(size_t bands, size_t band, double hz) {
  const double top = ToMel(LogMel::kRate / 2.0);
  auto edge = [&](size_t i) {
    return ToHz(top * static_cast<double>(i) / static_cast<double>(bands + 1));
  };
  const double low = edge(band), middle = edge(band + 1), high = edge(band + 2);
  const double weight = std::min((hz - low) / (middle - low), (high - hz) / (high - middle));
  return weight * 2 / (high - low);
}

}  // namespace

LogMel::LogMel(size_t bands)
    : bands_(kFrame, kFrame, bands, MelBands::Sums::kPower,
             [&](size_t band, double hz) { return Weight(bands, band, hz); }) {}

std::vector<float> LogMel::Compute(std::span<const float> samples) {
  samples = samples.first(std::min(samples.size(), kSamples));
  std::vector<float> out(bands_.size() * kFrames, std::log10(kFloor));
  // The mirrored window; what lies behind the samples is silence.
  std::vector<float> padded(kSamples + kFrame, 0.0F);
  std::copy(samples.begin(), samples.end(), padded.begin() + kFrame / 2);
  for (size_t i = 1; i <= kFrame / 2; ++i) {
    padded[kFrame / 2 - i] = padded[kFrame / 2 + i];
    padded[kFrame / 2 + kSamples - 1 + i] = padded[kFrame / 2 + kSamples - 1 - i];
  }

  const size_t sounding = std::min(kFrames, (samples.size() + kFrame / 2) / kHop + 1);
  for (size_t t = 0; t < sounding; ++t) {
    const auto sums = bands_.Compute(std::span(padded).subspan(t * kHop, kFrame));
    for (size_t band = 0; band < sums.size(); ++band) {
      out[band * kFrames + t] = std::log10(std::max(sums[band], kFloor));
    }
  }
  const float bottom = *std::max_element(out.begin(), out.end()) - 8;
  for (float& value : out) value = (std::max(value, bottom) + 4) / 4;
  return out;
}

}  // namespace msearch::embedding
