// TIFF files made in code: pages, and the raw files of cameras (DNG).
#pragma once

#include <string>
#include <vector>

#include "media/raster.h"

namespace msearch::test {

struct TiffPage {
  media::Raster raster;
  int orientation = 1;
  bool reduced = false;  // says that it is a smaller copy of another one
};
std::string MakeTiff(const std::vector<TiffPage>& pages);

struct DngOptions {
  int orientation = 1;
  std::string preview;  // a JPEG; empty: none
  unsigned preview_width = 0;
  unsigned preview_height = 0;
  std::string camera = "Maker Model One";  // maker, then model
};
// As a sensor with red, green and blue cells in a square would see the picture. Sides are even.
std::string MakeDng(const media::Raster& raster, const DngOptions& options = {});

}  // namespace msearch::test
