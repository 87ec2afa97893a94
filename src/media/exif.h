// What cameras note in pictures: EXIF 2.32, which is a TIFF structure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace msearch::media {

struct ExifFacts {
  int orientation = 1;                           // 1 to 8
  std::optional<UnixMs> captured_at;             // without an offset in the data: as if UTC
  std::string camera;                            // maker and model without repeating
  std::optional<std::pair<double, double>> gps;  // latitude, longitude, degrees
};

// Reads a TIFF structure, with or without "Exif\0\0" before it; a whole TIFF file will do.
// What is missing or broken is left out.
ExifFacts ReadExif(std::string_view bytes);

}  // namespace msearch::media
