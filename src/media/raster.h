// Pictures in memory, as every decoder gives them: 8 bits a channel, sRGB, alpha composed on
// white, 4 bytes a pixel (red, green, blue, unused: the layout that vectorises), no row padding.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace msearch::media {

// Leaves new elements as they are: filling a picture with zeros before decoding it costs as much as
// encoding its thumbnail.
template <typename T>
struct Uninitialized : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = Uninitialized<U>;
  };
  template <typename U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <typename U, typename... Arguments>
  void construct(U* at, Arguments&&... arguments) {
    ::new (static_cast<void*>(at)) U(std::forward<Arguments>(arguments)...);
  }
};

struct Raster {
  Raster() = default;
  // Pixels of any value.
  Raster(uint32_t w, uint32_t h) : width(w), height(h), rgbx(size_t{w} * h * 4) {}

  uint8_t* row(uint32_t y) { return rgbx.data() + size_t{y} * width * 4; }
  const uint8_t* row(uint32_t y) const { return rgbx.data() + size_t{y} * width * 4; }

  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint8_t, Uninitialized<uint8_t>> rgbx;
};

// The picture as `exif_orientation` (1 to 8, the TIFF tag 274) says it is to be seen.
// Anything else than 2 to 8 leaves it as it is.
Raster Upright(Raster raster, int exif_orientation);

// Whether that orientation exchanges width and height.
constexpr bool SwapsSides(int exif_orientation) {
  return exif_orientation >= 5 && exif_orientation <= 8;
}

// 3 bytes a pixel.
std::string ToRgb(const Raster& raster);

// Takes rows of a picture from top to bottom and keeps the averages of blocks of
// `factor` x `factor` pixels, so that a decoder without scaling of its own needs memory for the
// reduced picture only. What doesn't fill a block at the right and lower edge is averaged too.
class RowReducer {
 public:
  RowReducer(uint32_t width, uint32_t height, uint32_t factor);
  // `rgbx`: width * 4 bytes.
  void Add(const uint8_t* rgbx);
  // REQUIRES: Add was called `height` times.
  Raster Finish() { return std::move(out_); }

 private:
  void Flush(uint32_t rows);

  uint32_t width_;
  uint32_t height_;
  uint32_t factor_;
  uint32_t y_ = 0;
  std::vector<uint32_t> sums_;
  Raster out_;
};

}  // namespace msearch::media
