#include "embedding/mel_bands.h"

#include <kissfft/kiss_fftr.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace msearch::embedding {

struct MelBands::Transform {
  explicit Transform(size_t size)
      : state(kiss_fftr_alloc(static_cast<int>(size), 0, nullptr, nullptr)),
        frame(size),
        spectrum(size / 2 + 1),
        strength(size / 2 + 1) {}
  ~Transform() { kiss_fftr_free(state); }
  Transform(const Transform&) = delete;
  Transform& operator=(const Transform&) = delete;

  kiss_fftr_cfg state;
  std::vector<float> frame;
  std::vector<kiss_fft_cpx> spectrum;
  std::vector<float> strength;
};

MelBands::MelBands(size_t frame, size_t transform, size_t bands, Sums sums,
                   const std::function<double(size_t band, double hz)>& weight)
    : sums_(sums), transform_(std::make_unique<Transform>(transform)), values_(bands) {
  for (size_t band = 0; band < bands; ++band) {
    Band out;
    for (size_t bin = 0; bin <= transform / 2; ++bin) {
      const double hz = static_cast<double>(bin * kRate) / static_cast<double>(transform);
      const double share = weight(band, hz);
      if (share <= 0) continue;
      if (out.weights.empty()) out.begin = bin;
      out.weights.push_back(static_cast<float>(share));
    }
    bands_.push_back(std::move(out));
  }
  for (size_t i = 0; i < frame; ++i) {
    const double phase = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(frame);
    window_.push_back(static_cast<float>(0.5 - 0.5 * std::cos(phase)));
  }
}

MelBands::~MelBands() = default;

std::span<const float> MelBands::Compute(std::span<const float> samples) {
  auto& [state, frame, spectrum, strength] = *transform_;
  const size_t size = std::min(samples.size(), window_.size());
  for (size_t i = 0; i < size; ++i) frame[i] = samples[i] * window_[i];
  std::fill(frame.begin() + static_cast<ptrdiff_t>(size), frame.end(), 0.0F);
  kiss_fftr(state, frame.data(), spectrum.data());
  for (size_t bin = 0; bin < spectrum.size(); ++bin) {
    strength[bin] = spectrum[bin].r * spectrum[bin].r + spectrum[bin].i * spectrum[bin].i;
  }
  if (sums_ == Sums::kMagnitude) {
    for (float& value : strength) value = std::sqrt(value);
  }
  for (size_t band = 0; band < bands_.size(); ++band) {
    const Band& triangle = bands_[band];
    float sum = 0;
    for (size_t i = 0; i < triangle.weights.size(); ++i) {
      sum += triangle.weights[i] * strength[triangle.begin + i];
    }
    values_[band] = sum;
  }
  return values_;
}

}  // namespace msearch::embedding
