// Bare libjpeg-turbo: a JPEG's pixels for a model and nothing else, in this process. The floor that
// our own decoding and indexing are held against.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "media/codec.h"

namespace msearch::bench {

// Not thread-safe.
class BareJpeg {
 public:
  // Decodes at the smallest of the scales with SIMD that leaves enough for the pixels and for a
  // thumbnail of that side, as msearch's own decoder does. Fit kCenterCrop or kPad.
  BareJpeg(const media::PixelsWanted& wanted, uint32_t thumbnail_side);
  ~BareJpeg();
  BareJpeg(const BareJpeg&) = delete;
  BareJpeg& operator=(const BareJpeg&) = delete;

  // RGB, without padding between rows. The orientation in EXIF is not looked at.
  Result<std::string> Pixels(const std::string& path);

 private:
  const media::PixelsWanted wanted_;
  const uint32_t thumbnail_side_;
  void* decoder_;
};

}  // namespace msearch::bench
