#include "embedding/yamnet_mel.h"

#include <kissfft/kiss_fftr.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

// Frames of 25 ms every 10 ms, not mirrored at the ends, under a periodic Hann window, filled up
// with zeros to 512; magnitudes; triangles between points that are equally far apart on the HTK
// scale, straight in mel (not in Hz); natural logarithm, after an offset that bounds it below.

namespace msearch::embedding {
namespace {

constexpr size_t kFrame = 400;
constexpr size_t kHop = 160;
constexpr size_t kTransform = 512;
constexpr size_t kBins = kTransform / 2 + 1;
constexpr size_t kPatchHopFrames = 48;
constexpr double kLowestHz = 125;
constexpr double kHighestHz = 7500;
constexpr float kLogOffset = 0.001F;

static_assert(YamnetMel::kPatchSamples == (YamnetMel::kPatchFrames - 1) * kHop + kFrame);
static_assert(YamnetMel::kPatchHop == kPatchHopFrames * kHop);

double ToMel(double hz) { return 1127.0 * std::log1p(hz / 700.0); }

}  // namespace

struct YamnetMel::Transform {
  kiss_fftr_cfg state = kiss_fftr_alloc(kTransform, 0, nullptr, nullptr);
  ~Transform() { kiss_fftr_free(state); }
};

YamnetMel::YamnetMel() : transform_(std::make_unique<Transform>()) {
  const double bottom = ToMel(kLowestHz), step = (ToMel(kHighestHz) - bottom) / (kBands + 1);
  for (size_t band = 0; band < kBands; ++band) {
    const double low = bottom + step * static_cast<double>(band);
    Band out;
    // The first bin, which is no tone, is nowhere.
    for (size_t bin = 1; bin < kBins; ++bin) {
      const double mel = ToMel(static_cast<double>(bin * kRate) / kTransform);
      const double weight = std::min(mel - low, low + 2 * step - mel) / step;
      if (weight <= 0) continue;
      if (out.weights.empty()) out.begin = bin;
      out.weights.push_back(static_cast<float>(weight));
    }
    bands_.push_back(std::move(out));
  }
  for (size_t i = 0; i < kFrame; ++i) {
    const double phase = 2 * std::numbers::pi * static_cast<double>(i) / kFrame;
    window_.push_back(static_cast<float>(0.5 - 0.5 * std::cos(phase)));
  }
}

YamnetMel::~YamnetMel() = default;

size_t YamnetMel::PatchesOf(size_t samples) {
  if (samples <= kPatchSamples) return 1;
  return 1 + (samples - kPatchSamples + kPatchHop - 1) / kPatchHop;
}

std::vector<float> YamnetMel::Compute(std::span<const float> samples) {
  const size_t patches = PatchesOf(samples.size());
  const size_t frames = kPatchFrames + (patches - 1) * kPatchHopFrames;
  std::vector<float> rows(frames * kBands);
  std::array<float, kTransform> frame;
  std::array<kiss_fft_cpx, kBins> spectrum;
  std::array<float, kBins> magnitude;
  for (size_t t = 0; t < frames; ++t) {
    frame.fill(0.0F);
    for (size_t i = 0; i < kFrame && t * kHop + i < samples.size(); ++i) {
      frame[i] = samples[t * kHop + i] * window_[i];
    }
    kiss_fftr(transform_->state, frame.data(), spectrum.data());
    for (size_t bin = 0; bin < kBins; ++bin) {
      magnitude[bin] =
          std::sqrt(spectrum[bin].r * spectrum[bin].r + spectrum[bin].i * spectrum[bin].i);
    }
    for (size_t band = 0; band < kBands; ++band) {
      float sum = 0;
      for (size_t i = 0; i < bands_[band].weights.size(); ++i) {
        sum += bands_[band].weights[i] * magnitude[bands_[band].begin + i];
      }
      rows[t * kBands + band] = std::log(sum + kLogOffset);
    }
  }
  std::vector<float> out;
  out.reserve(patches * kPatchValues);
  for (size_t patch = 0; patch < patches; ++patch) {
    const auto begin = rows.begin() + static_cast<ptrdiff_t>(patch * kPatchHopFrames * kBands);
    out.insert(out.end(), begin, begin + static_cast<ptrdiff_t>(kPatchValues));
  }
  return out;
}

}  // namespace msearch::embedding
