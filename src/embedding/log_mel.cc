#include "embedding/log_mel.h"

#include <kissfft/kiss_fftr.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

// Frames of 25 ms, centred at every 10 ms (the sound is mirrored at its ends), under a Hann window;
// power spectrum; triangular bands on Slaney's mel scale, each of the same area; logarithm to base
// 10, cut 8 below the window's loudest value, then brought to about -1 to 1.

namespace msearch::embedding {
namespace {

constexpr size_t kFrame = 400;
constexpr size_t kHop = 160;
constexpr size_t kBins = kFrame / 2 + 1;
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

}  // namespace

struct LogMel::Transform {
  kiss_fftr_cfg state = kiss_fftr_alloc(kFrame, 0, nullptr, nullptr);
  ~Transform() { kiss_fftr_free(state); }
};

LogMel::LogMel(size_t bands) : transform_(std::make_unique<Transform>()) {
  const double top = ToMel(kRate / 2.0);
  auto edge = [&](size_t i) {
    return ToHz(top * static_cast<double>(i) / static_cast<double>(bands + 1));
  };
  for (size_t band = 0; band < bands; ++band) {
    const double low = edge(band), middle = edge(band + 1), high = edge(band + 2);
    Band out;
    for (size_t bin = 0; bin < kBins; ++bin) {
      const double hz = static_cast<double>(bin * kRate) / kFrame;
      const double weight = std::min((hz - low) / (middle - low), (high - hz) / (high - middle));
      if (weight <= 0) continue;
      if (out.weights.empty()) out.begin = bin;
      out.weights.push_back(static_cast<float>(weight * 2 / (high - low)));
    }
    bands_.push_back(std::move(out));
  }
  for (size_t i = 0; i < kFrame; ++i) {
    const double phase = 2 * std::numbers::pi * static_cast<double>(i) / kFrame;
    window_.push_back(static_cast<float>(0.5 - 0.5 * std::cos(phase)));
  }
}

LogMel::~LogMel() = default;

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
  std::array<float, kFrame> frame;
  std::array<kiss_fft_cpx, kBins> spectrum;
  std::array<float, kBins> power;
  for (size_t t = 0; t < sounding; ++t) {
    for (size_t i = 0; i < kFrame; ++i) frame[i] = padded[t * kHop + i] * window_[i];
    kiss_fftr(transform_->state, frame.data(), spectrum.data());
    for (size_t bin = 0; bin < kBins; ++bin) {
      power[bin] = spectrum[bin].r * spectrum[bin].r + spectrum[bin].i * spectrum[bin].i;
    }
    for (size_t band = 0; band < bands_.size(); ++band) {
      float sum = 0;
      for (size_t i = 0; i < bands_[band].weights.size(); ++i) {
        sum += bands_[band].weights[i] * power[bands_[band].begin + i];
      }
      out[band * kFrames + t] = std::log10(std::max(sum, kFloor));
    }
  }
  const float bottom = *std::max_element(out.begin(), out.end()) - 8;
  for (float& value : out) value = (std::max(value, bottom) + 4) / 4;
  return out;
}

}  // namespace msearch::embedding
