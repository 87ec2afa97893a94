// A sound as a picture: how loud it is over time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "media/raster.h"

namespace msearch::media {

class Waveform {
 public:
  explicit Waveform(uint32_t rate) : rate_(rate) {}
  void Add(std::span<const float> samples);
  double seconds() const { return static_cast<double>(count_) / rate_; }
  Raster Picture() const;

 private:
  uint32_t rate_;
  uint64_t count_ = 0;
  float peak_ = 0;
  std::vector<float> peaks_;  // of each tenth of a second
};

}  // namespace msearch::media
