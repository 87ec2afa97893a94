// The 64-bit DCT hash: brightness at 32 x 32, discrete cosine transform, and one bit for each of
// the 8 x 8 lowest frequencies: whether it is above their median. Frequencies too weak to be more
// than rounding count as zero, so that flat areas hash alike. Bit 63 is frequency (0, 0).

#include "media/perceptual_hash.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "media/resize.h"

namespace msearch::media {
namespace {

constexpr int kSide = 32;
constexpr int kLow = 8;
constexpr float kNoise = 0.5F;  // of a brightness step, in units of one pixel's brightness

using Cosines = std::array<std::array<float, kSide>, kLow>;

Cosines MakeCosines() {
  Cosines cosines;
  for (int u = 0; u < kLow; ++u) {
    for (int x = 0; x < kSide; ++x) {
      const double scale = std::sqrt((u == 0 ? 1.0 : 2.0) / kSide);
      cosines[u][x] =
          static_cast<float>(scale * std::cos(std::numbers::pi * (2 * x + 1) * u / (2.0 * kSide)));
    }
  }
  return cosines;
}

}  // namespace

uint64_t PerceptualHash(const Raster& raster) {
  static const Cosines kCosines = MakeCosines();
  const Raster small = Resize(raster, kSide, kSide);
  std::array<std::array<float, kLow>, kSide> rows{};  // [y][u]
  for (int y = 0; y < kSide; ++y) {
    const uint8_t* pixels = small.row(static_cast<uint32_t>(y));
    for (int x = 0; x < kSide; ++x) {
      const uint8_t* p = pixels + size_t{4} * x;
      const float luma = 0.299F * p[0] + 0.587F * p[1] + 0.114F * p[2];
      for (int u = 0; u < kLow; ++u) rows[y][u] += luma * kCosines[u][x];
    }
  }
  std::array<float, kLow * kLow> low{};
  for (int v = 0; v < kLow; ++v) {
    for (int y = 0; y < kSide; ++y) {
      for (int u = 0; u < kLow; ++u) low[v * kLow + u] += rows[y][u] * kCosines[v][y];
    }
  }
  for (float& frequency : low) {
    if (std::abs(frequency) < kNoise) frequency = 0;
  }
  std::array<float, kLow* kLow> sorted = low;
  std::nth_element(sorted.begin(), sorted.begin() + 32, sorted.end());
  const float median = sorted[32];
  uint64_t hash = 0;
  for (float frequency : low) hash = (hash << 1) | (frequency > median ? 1 : 0);
  return hash;
}

}  // namespace msearch::media
