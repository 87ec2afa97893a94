// The picture of sound that Whisper was trained on: the logarithm of the power in mel bands, a
// column each 10 ms, as OpenAI's own front end computes it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace msearch::embedding {

class LogMel {
 public:
  static constexpr size_t kRate = 16000;
  static constexpr size_t kSamples = 30 * kRate;  // of a window
  static constexpr size_t kFrames = 3000;

  explicit LogMel(size_t bands);
  ~LogMel();

  // A row of kFrames values for each band. Samples at 16 kHz from -1 to 1, at most kSamples; the
  // rest of the window is silence. One call at a time.
  std::vector<float> Compute(std::span<const float> samples);

 private:
  // A triangle over the bins of the Fourier transform.
  struct Band {
    size_t begin = 0;
    std::vector<float> weights;
  };
  struct Transform;

  std::vector<Band> bands_;
  std::vector<float> window_;
  std::unique_ptr<Transform> transform_;
};

}  // namespace msearch::embedding
