// The picture of sound that YAMNet was trained on: patches of 0.96 s, one every 0.48 s, of the
// logarithm of the magnitude in mel bands, as its authors' front end computes it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "embedding/mel_bands.h"

namespace msearch::embedding {

class YamnetMel {
 public:
  static constexpr size_t kRate = MelBands::kRate;
  static constexpr size_t kBands = 64;
  static constexpr size_t kPatchFrames = 96;
  static constexpr size_t kPatchValues = kPatchFrames * kBands;
  static constexpr size_t kPatchSamples = 15600;  // that one patch looks at
  static constexpr size_t kPatchHop = 7680;       // samples between beginnings of patches

  YamnetMel();

  // Patches that it takes to hear all of so many samples; at least one.
  static size_t PatchesOf(size_t samples);
  // Samples that these patches look at.
  static size_t SamplesOf(size_t patches) { return kPatchSamples + (patches - 1) * kPatchHop; }

  // PatchesOf(samples) patches, each of kPatchFrames rows of kBands values. Samples at 16 kHz from
  // -1 to 1; behind them is silence. One call at a time.
  std::vector<float> Compute(std::span<const float> samples);

 private:
  MelBands bands_;
};

}  // namespace msearch::embedding
