#include "media/raster.h"

#include <cassert>
#include <cstring>
#include <utility>

namespace msearch::media {
namespace {

// Where the pixel (x, y) of the upright picture lies in the stored one of width w and height h.
std::pair<uint32_t, uint32_t> Stored(int orientation, uint32_t x, uint32_t y, uint32_t w,
                                     uint32_t h) {
  switch (orientation) {
    case 2:
      return {w - 1 - x, y};
    case 3:
      return {w - 1 - x, h - 1 - y};
    case 4:
      return {x, h - 1 - y};
    case 5:
      return {y, x};
    case 6:
      return {y, h - 1 - x};
    case 7:
      return {w - 1 - y, h - 1 - x};
    case 8:
      return {w - 1 - y, x};
    default:
      return {x, y};
  }
}

}  // namespace

Raster Upright(Raster raster, int exif_orientation) {
  if (exif_orientation < 2 || exif_orientation > 8) return raster;
  const bool swap = SwapsSides(exif_orientation);
  Raster out(swap ? raster.height : raster.width, swap ? raster.width : raster.height);
  for (uint32_t y = 0; y < out.height; ++y) {
    uint8_t* to = out.row(y);
    for (uint32_t x = 0; x < out.width; ++x) {
      const auto [sx, sy] = Stored(exif_orientation, x, y, raster.width, raster.height);
      std::memcpy(to + size_t{x} * 4, raster.row(sy) + size_t{sx} * 4, 4);
    }
  }
  return out;
}

std::string ToRgb(const Raster& raster) {
  const size_t pixels = size_t{raster.width} * raster.height;
  std::string out(pixels * 3, '\0');
  for (size_t i = 0; i < pixels; ++i) std::memcpy(&out[i * 3], &raster.rgbx[i * 4], 3);
  return out;
}

RowReducer::RowReducer(uint32_t width, uint32_t height, uint32_t factor)
    : width_(width),
      height_(height),
      factor_(factor),
      out_((width + factor - 1) / factor, (height + factor - 1) / factor) {
  assert(factor >= 1 && factor <= 4096);
  if (factor > 1) sums_.resize(out_.width * size_t{4});
}

void RowReducer::Add(const uint8_t* rgbx) {
  assert(y_ < height_);
  if (factor_ == 1) {
    std::memcpy(out_.row(y_++), rgbx, size_t{width_} * 4);
    return;
  }
  for (uint32_t x = 0, block = 0; x < width_; ++block) {
    uint32_t* sum = &sums_[size_t{block} * 4];
    const uint32_t end = std::min(width_, x + factor_);
    for (; x < end; ++x) {
      for (int channel = 0; channel < 3; ++channel) sum[channel] += rgbx[size_t{x} * 4 + channel];
    }
  }
  ++y_;
  if (y_ % factor_ == 0 || y_ == height_) Flush((y_ - 1) % factor_ + 1);
}

void RowReducer::Flush(uint32_t rows) {
  uint8_t* to = out_.row((y_ - 1) / factor_);
  for (uint32_t block = 0; block < out_.width; ++block) {
    const uint32_t columns = std::min(factor_, width_ - block * factor_);
    const uint32_t count = rows * columns;
    for (int channel = 0; channel < 3; ++channel) {
      uint32_t& sum = sums_[size_t{block} * 4 + channel];
      to[size_t{block} * 4 + channel] = static_cast<uint8_t>((sum + count / 2) / count);
      sum = 0;
    }
  }
}

}  // namespace msearch::media
