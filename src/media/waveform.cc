#include "media/waveform.h"

#include <algorithm>
#include <cmath>

namespace msearch::media {
namespace {

constexpr uint32_t kWidth = 320;
constexpr uint32_t kHeight = 180;
constexpr uint32_t kLoudest = kHeight / 2 - 8;  // half of the largest bar
constexpr uint32_t kBar = 4;                    // pixels from one bar to the next
constexpr uint8_t kPaper[3] = {244, 246, 248};
constexpr uint8_t kInk[3] = {72, 118, 170};

}  // namespace

void Waveform::Add(std::span<const float> samples) {
  const uint32_t step = std::max<uint32_t>(1, rate_ / 10);
  for (const float sample : samples) {
    peak_ = std::max(peak_, std::abs(sample));
    if (++count_ % step != 0) continue;
    peaks_.push_back(peak_);
    peak_ = 0;
  }
}

Raster Waveform::Picture() const {
  Raster out(kWidth, kHeight);
  for (size_t i = 0; i < out.rgbx.size(); ++i) out.rgbx[i] = i % 4 < 3 ? kPaper[i % 4] : 255;
  std::vector<float> peaks = peaks_;
  if (peaks.empty()) peaks.push_back(peak_);
  constexpr uint32_t kBars = kWidth / kBar;
  for (uint32_t bar = 0; bar < kBars; ++bar) {
    const size_t from = peaks.size() * bar / kBars;
    const size_t to = std::max(from + 1, peaks.size() * (bar + 1) / kBars);
    float loudest = 0;
    for (size_t i = from; i < std::min(to, peaks.size()); ++i)
      loudest = std::max(loudest, peaks[i]);
    const auto half = static_cast<uint32_t>(std::lround(loudest * kLoudest)) + 1;
    for (uint32_t y = kHeight / 2 - half; y < kHeight / 2 + half; ++y) {
      for (uint32_t x = bar * kBar; x < bar * kBar + kBar - 1; ++x) {
        std::copy_n(kInk, 3, out.row(y) + size_t{x} * 4);
      }
    }
  }
  return out;
}

}  // namespace msearch::media
