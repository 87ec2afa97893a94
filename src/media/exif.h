// What cameras note in pictures: EXIF 2.32, which is a TIFF structure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// Of a TIFF file: for each directory in its chain whether it says that it holds a smaller copy of
// another one. Empty for other files, and for what can't be followed.
std::vector<bool> ReducedTiffDirectories(std::string_view file);
// Whether the first directory has a DNG version in it.
bool IsDng(std::string_view head);

}  // namespace msearch::media
