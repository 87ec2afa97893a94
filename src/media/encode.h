// Pictures to files: thumbnails, and the test media of the project.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "media/raster.h"

namespace msearch::media {

struct JpegOptions {
  int quality = 80;
  enum class Layout { kColor, kGrey, kCmyk } layout = Layout::kColor;
  bool progressive = false;
  std::string_view exif = {};         // a TIFF structure, without "Exif\0\0"
  std::string_view icc_profile = {};  // up to 64 KiB
};
Result<std::string> EncodeJpeg(const Raster& raster, const JpegOptions& options = {});

// `suffix` as libvips names formats and their options: ".png", ".webp[Q=90]", ".gif", ".tif".
Result<std::string> EncodeWithVips(const Raster& raster, const std::string& suffix,
                                   std::string_view exif = {});

enum class HeifFormat { kHeic, kAvif };
// kUnsupported where no such encoder is installed.
// `orientation` as in EXIF, kept as the format's own rotation and mirroring.
// `further` follow in the same file; the first is the main one.
Result<std::string> EncodeHeif(const Raster& raster, HeifFormat format, std::string_view exif = {},
                               int orientation = 1, std::span<const Raster> further = {});
// The same for JPEG XL, lossy.
Result<std::string> EncodeJxl(const Raster& raster, std::string_view exif = {},
                              int orientation = 1);

}  // namespace msearch::media
