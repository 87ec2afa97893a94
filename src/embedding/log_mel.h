// The picture of sound that Whisper was trained on: the logarithm of the power in mel bands, a
// column each 10 ms, as OpenAI's own front end computes it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "embedding/mel_bands.h"

namespace msearch::embedding {

class LogMel {
 public:
  static constexpr size_t kRate = MelBands::kRate;
  static constexpr size_t kSamples = 30 * kRate;  // of a window
  static constexpr size_t kFrames = 3000;

  explicit LogMel(size_t bands);

  // A row of kFrames values for each band. Samples at 16 kHz from -1 to 1, at most kSamples; the
  // rest of the window is silence. One call at a time.
  std::vector<float> Compute(std::span<const float> samples);

 private:
  MelBands bands_;
};

}  // namespace msearch::embedding
