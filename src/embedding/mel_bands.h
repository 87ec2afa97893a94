// What the front ends of sound models have in common: a frame of sound under a Hann window, its
// Fourier transform, and sums over bands of it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace msearch::embedding {

class MelBands {
 public:
  static constexpr size_t kRate = 16000;
  enum class Sums { kPower, kMagnitude };

  // Frames of `frame` samples, filled up with zeros to `transform`. `weight` is that of a frequency
  // in a band; above 0 from one bin to another, and nowhere else.
  MelBands(size_t frame, size_t transform, size_t bands, Sums sums,
           const std::function<double(size_t band, double hz)>& weight);
  ~MelBands();

  size_t size() const { return bands_.size(); }
  // A sum for each band, until the next call. At most a frame of samples at 16 kHz; the rest of it
  // is silence. One call at a time.
  std::span<const float> Compute(std::span<const float> samples);

 private:
  struct Band {
    size_t begin = 0;  // its first bin
    std::vector<float> weights;
  };
  struct Transform;

  const Sums sums_;
  std::vector<Band> bands_;
  std::vector<float> window_;
  std::unique_ptr<Transform> transform_;
  std::vector<float> values_;
};

}  // namespace msearch::embedding
