// Colour: from what a picture was stored in to sRGB.
#pragma once

#include <string_view>

#include "media/raster.h"

namespace msearch::media {

// Converts in place by the picture's embedded ICC profile. Does nothing for an empty, broken or
// sRGB profile, or for one that isn't of RGB.
void RgbToSrgb(Raster& raster, std::string_view icc_profile);

// The raster holds cyan, magenta, yellow and black; afterwards red, green and blue. By the profile
// if it is a usable one of CMYK, else by the plain formula. `inverted`: 255 is no ink (Adobe).
void CmykToSrgb(Raster& raster, std::string_view icc_profile, bool inverted);

}  // namespace msearch::media
