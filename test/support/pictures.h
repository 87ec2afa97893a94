// Pictures made in code, for tests and benchmarks. All are the same for the same arguments.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "media/raster.h"

namespace msearch::test {

using Rgb = std::array<uint8_t, 3>;

media::Raster Flat(uint32_t width, uint32_t height, Rgb color);

// Four flat quarters; every orientation shows them in another order.
inline constexpr Rgb kTopLeft = {220, 30, 30};
inline constexpr Rgb kTopRight = {30, 180, 30};
inline constexpr Rgb kBottomLeft = {30, 30, 220};
inline constexpr Rgb kBottomRight = {230, 220, 40};
media::Raster Quarters(uint32_t width, uint32_t height);

// Looks to a JPEG encoder like a photograph: broad gradients, structure at every scale, edges, and
// a sensor's noise. Takes about 0.1 s a megapixel.
media::Raster Photograph(uint32_t width, uint32_t height, uint64_t seed);

// Part of a picture. REQUIRES: it lies inside.
media::Raster Crop(const media::Raster& from, uint32_t left, uint32_t top, uint32_t width,
                   uint32_t height);

Rgb PixelAt(const media::Raster& raster, uint32_t x, uint32_t y);
// Largest difference of a channel.
int Distance(Rgb a, Rgb b);

struct ExifTags {
  int orientation = 0;  // 0: none
  std::string make;
  std::string model;
  std::string date_time_original;  // "2026:01:31 12:00:00"
  std::string offset_time_original;
  std::optional<std::pair<double, double>> gps;
};
// A TIFF structure, without "Exif\0\0".
std::string MakeExif(const ExifTags& tags, bool big_endian = false);

// The picture as a file. `format`: jpg, png, webp, gif, tif, bmp, heic, avif, jxl.
std::string Encoded(const media::Raster& raster, std::string_view format,
                    std::string_view exif = {});

// A PNG put together by hand, uncompressed. `rows`: scanlines without filter bytes.
struct PngParts {
  uint32_t width = 0;
  uint32_t height = 0;
  int bits = 8;
  int color_type = 2;  // 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  std::string palette;
  std::string transparency;
  std::string exif;
  std::string rows;
};
std::string MakePng(const PngParts& parts);

// The beginning of a grey PNG of this size; nothing follows it.
std::string MakePngHeader(uint32_t width, uint32_t height);

// A grey PNG of this size in a hundredth of a percent of the bytes: the bomb.
std::string MakePngBomb(uint32_t width, uint32_t height);

// A bitmap without compression, of 8 (with palette), 24 or 32 bits.
std::string MakeBmp(const media::Raster& raster, int bits);

}  // namespace msearch::test
