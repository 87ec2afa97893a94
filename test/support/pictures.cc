#include "support/pictures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "media/encode.h"
#include "media/resize.h"

namespace msearch::test {

using media::Raster;

namespace {

using Random = std::mt19937_64;

uint32_t Below(Random& random, uint32_t limit) { return static_cast<uint32_t>(random() % limit); }

void Paint(Raster& raster, uint32_t x, uint32_t y, Rgb color) {
  std::copy_n(color.data(), 3, raster.row(y) + size_t{x} * 4);
}

// Random colours on a coarse grid, blown up: structure of one scale.
Raster Octave(uint32_t width, uint32_t height, uint32_t cell, Random& random) {
  Raster grid(std::max<uint32_t>(2, width / cell), std::max<uint32_t>(2, height / cell));
  for (size_t i = 0; i < grid.rgbx.size(); i += 4) {
    const uint64_t bits = random();
    const auto common = static_cast<int>(bits & 255);
    for (int channel = 0; channel < 3; ++channel) {
      const auto own = static_cast<int>((bits >> (8 + 8 * channel)) & 255);
      grid.rgbx[i + channel] = static_cast<uint8_t>((common * 3 + own) / 4);
    }
  }
  return media::Resize(grid, width, height);
}

void Blend(Raster& raster, const Raster& octave, int weight_of_256) {
  for (size_t i = 0; i < raster.rgbx.size(); ++i) {
    const int changed = raster.rgbx[i] + (octave.rgbx[i] - 128) * weight_of_256 / 256;
    raster.rgbx[i] = static_cast<uint8_t>(std::clamp(changed, 0, 255));
  }
}

// An ellipse or a box of some colour, half transparent, so that what is below shows.
void AddShape(Raster& raster, Random& random) {
  const uint32_t w = 8 + Below(random, raster.width / 4 + 1);
  const uint32_t h = 8 + Below(random, raster.height / 4 + 1);
  const uint32_t left = Below(random, raster.width);
  const uint32_t top = Below(random, raster.height);
  const bool ellipse = random() % 2 == 0;
  const Rgb color = {static_cast<uint8_t>(random()), static_cast<uint8_t>(random()),
                     static_cast<uint8_t>(random())};
  for (uint32_t y = top; y < std::min(raster.height, top + h); ++y) {
    uint8_t* row = raster.row(y);
    const double dy = (y - top) * 2.0 / h - 1;
    for (uint32_t x = left; x < std::min(raster.width, left + w); ++x) {
      const double dx = (x - left) * 2.0 / w - 1;
      if (ellipse && dx * dx + dy * dy > 1) continue;
      for (int channel = 0; channel < 3; ++channel) {
        uint8_t& value = row[size_t{x} * 4 + channel];
        value = static_cast<uint8_t>((value + 2 * color[channel]) / 3);
      }
    }
  }
}

// The sum of four small uniform numbers is nearly normal; one multiplication serves a pixel.
void AddNoise(Raster& raster, uint64_t state) {
  for (size_t i = 0; i < raster.rgbx.size(); i += 4) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const uint64_t bits = state >> 16;
    for (int channel = 0; channel < 3; ++channel) {
      const uint64_t own = bits >> (12 * channel);
      const int noise = static_cast<int>((own & 7) + (own >> 3 & 7) + (own >> 6 & 3)) - 8;
      raster.rgbx[i + channel] =
          static_cast<uint8_t>(std::clamp(raster.rgbx[i + channel] + noise * 7 / 4, 0, 255));
    }
  }
}

std::string Little(uint64_t value, int size) {
  std::string out;
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

}  // namespace

Raster Flat(uint32_t width, uint32_t height, Rgb color) {
  Raster raster(width, height);
  for (size_t i = 0; i < raster.rgbx.size(); i += 4) std::copy_n(color.data(), 3, &raster.rgbx[i]);
  return raster;
}

Raster Quarters(uint32_t width, uint32_t height) {
  Raster raster(width, height);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const bool right = x >= width / 2;
      const bool low = y >= height / 2;
      Paint(raster, x, y,
            low ? (right ? kBottomRight : kBottomLeft) : (right ? kTopRight : kTopLeft));
    }
  }
  return raster;
}

Raster Photograph(uint32_t width, uint32_t height, uint64_t seed) {
  Random random(seed);
  Raster raster = Octave(width, height, std::max(width, height) / 3 + 1, random);
  int weight = 140;
  for (uint32_t cell = std::max(width, height) / 8 + 1; cell > 2; cell /= 2) {
    Blend(raster, Octave(width, height, cell, random), weight);
    weight = weight * 7 / 8;
  }
  for (int i = 0; i < 60; ++i) AddShape(raster, random);
  AddNoise(raster, random());
  return raster;
}

Raster Crop(const Raster& from, uint32_t left, uint32_t top, uint32_t width, uint32_t height) {
  Raster out(width, height);
  for (uint32_t y = 0; y < height; ++y) {
    std::copy_n(from.row(top + y) + size_t{left} * 4, size_t{width} * 4, out.row(y));
  }
  return out;
}

Rgb PixelAt(const Raster& raster, uint32_t x, uint32_t y) {
  const uint8_t* p = raster.row(y) + size_t{x} * 4;
  return {p[0], p[1], p[2]};
}

int Distance(Rgb a, Rgb b) {
  int most = 0;
  for (int i = 0; i < 3; ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

std::string Encoded(const Raster& raster, std::string_view format, std::string_view exif) {
  Result<std::string> bytes = Error{Code::kInvalid, "no such format"};
  if (format == "jpg") {
    media::JpegOptions options;
    options.quality = 90;
    options.exif = exif;
    bytes = media::EncodeJpeg(raster, options);
  } else if (format == "bmp") {
    return MakeBmp(raster, 24);
  } else if (format == "heic" || format == "avif") {
    const auto kind = format == "heic" ? media::HeifFormat::kHeic : media::HeifFormat::kAvif;
    bytes = media::EncodeHeif(raster, kind, exif);
  } else if (format == "jxl") {
    bytes = media::EncodeJxl(raster, exif);
  } else {
    bytes = media::EncodeWithVips(raster, "." + std::string(format), exif);
  }
  if (!bytes.ok()) {
    std::fprintf(stderr, "%s: %s\n", std::string(format).c_str(), bytes.message().c_str());
    std::abort();
  }
  return std::move(*bytes);
}

std::string MakeBmp(const Raster& raster, int bits) {
  const uint32_t palette = bits == 8 ? 256 * 4 : 0;
  const size_t stride = (size_t{raster.width} * static_cast<size_t>(bits) + 31) / 32 * 4;
  std::string out = "BM" + Little(54 + palette + stride * raster.height, 4) + Little(0, 4) +
                    Little(54 + palette, 4) + Little(40, 4) + Little(raster.width, 4) +
                    Little(raster.height, 4) + Little(1, 2) +
                    Little(static_cast<uint64_t>(bits), 2) + std::string(24, '\0');
  // The palette: 2 bits of blue, 3 of green, 3 of red.
  for (int i = 0; palette > 0 && i < 256; ++i) {
    out += Little(static_cast<uint64_t>((i & 3) * 85), 1);
    out += Little(static_cast<uint64_t>((i >> 2 & 7) * 255 / 7), 1);
    out += Little(static_cast<uint64_t>((i >> 5) * 255 / 7), 1) + Little(0, 1);
  }
  for (uint32_t y = raster.height; y-- > 0;) {
    const size_t begin = out.size();
    for (uint32_t x = 0; x < raster.width; ++x) {
      const Rgb p = PixelAt(raster, x, y);
      if (bits == 8) {
        out += static_cast<char>((p[0] * 7 + 127) / 255 << 5 | (p[1] * 7 + 127) / 255 << 2 |
                                 (p[2] * 3 + 127) / 255);
      } else {
        for (int channel = 2; channel >= 0; --channel) out += static_cast<char>(p[channel]);
        if (bits == 32) out += '\0';
      }
    }
    out.resize(begin + stride);
  }
  return out;
}

}  // namespace msearch::test
