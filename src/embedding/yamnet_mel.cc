#include "embedding/yamnet_mel.h"

#include <algorithm>
#include <cmath>

// Frames of 25 ms every 10 ms, not mirrored at the ends, under a periodic Hann window, filled up
// with zeros to 512; magnitudes; triangles between points that are equally far apart on the HTK
// scale, straight in mel (not in Hz); natural logarithm, after an offset that bounds it below.

namespace msearch::embedding {
namespace {

constexpr size_t kFrame = 400;
constexpr size_t kHop = 160;
constexpr size_t kTransform = 512;
constexpr size_t kPatchHopFrames = 48;
constexpr double kLowestHz = 125;
constexpr double kHighestHz = 7500;
constexpr float kLogOffset = 0.001F;

static_assert(YamnetMel::kPatchSamples == (YamnetMel::kPatchFrames - 1) * kHop + kFrame);
static_assert(YamnetMel::kPatchHop == kPatchHopFrames * kHop);

double ToMel(double hz) { return 1127.0 * std::log1p(hz / 700.0); }

double Weight(size_t band, double hz) {
  if (hz == 0) return 0;  // the first bin, which is no tone, is nowhere
  const double bottom = ToMel(kLowestHz);
  const double step = (ToMel(kHighestHz) - bottom) / (YamnetMel::kBands + 1);
  const double low = bottom + step * static_cast<double>(band);
  const double mel = ToMel(hz);
  return std::min(mel - low, low + 2 * step - mel) / step;
}

}  // namespace

YamnetMel::YamnetMel() : bands_(kFrame, kTransform, kBands, MelBands::Sums::kMagnitude, Weight) {}

size_t YamnetMel::PatchesOf(size_t samples) {
  if (samples <= kPatchSamples) return 1;
  return 1 + (samples - kPatchSamples + kPatchHop - 1) / kPatchHop;
}

std::vector<float> YamnetMel::Compute(std::span<const float> samples) {
  const size_t patches = PatchesOf(samples.size());
  const size_t frames = kPatchFrames + (patches - 1) * kPatchHopFrames;
  std::vector<float> rows(frames * kBands);
  for (size_t t = 0; t < frames; ++t) {
    const auto sums = bands_.Compute(samples.subspan(std::min(t * kHop, samples.size())));
    for (size_t band = 0; band < kBands; ++band) {
      rows[t * kBands + band] = std::log(sums[band] + kLogOffset);
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
