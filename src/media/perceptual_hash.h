// A hash of what a picture looks like: the same picture resized, re-encoded or slightly changed
// differs in few bits (up to about 10 of 64), another picture in about half of them.
#pragma once

#include <cstdint>

#include "media/raster.h"

namespace msearch::media {

// REQUIRES: upright, not empty. Any size; a thumbnail is enough.
uint64_t PerceptualHash(const Raster& raster);

}  // namespace msearch::media
