// Resampling of good quality at the speed that a picture a few hundred pixels wide needs.
#pragma once

#include <cstdint>

#include "media/raster.h"

namespace msearch::media {

// A part of a picture, in its pixels; fractions are honoured.
struct Area {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
};

// The area, resampled to width x height: cubic (Keys, a = -0.5), widened when reducing so that
// every source pixel counts. REQUIRES: nothing empty, the area inside the picture.
Raster Resize(const Raster& source, const Area& area, uint32_t width, uint32_t height);
Raster Resize(const Raster& source, uint32_t width, uint32_t height);

}  // namespace msearch::media
