#include "bare_jpeg.h"

#include <turbojpeg.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/file.h"
#include "media/picture.h"
#include "media/resize.h"

namespace msearch::bench {
namespace {

using Fit = media::PixelsWanted::Fit;

tjscalingfactor ScaleFor(const media::PixelsWanted& wanted, uint32_t thumbnail_side, int width,
                         int height) {
  const uint32_t side = std::max(wanted.width, wanted.height);
  media::PictureRequest request{0, thumbnail_side, UINT64_MAX};
  if (wanted.fit == Fit::kPad) {
    request.longer_side_min = std::max(thumbnail_side, side);
  } else {
    request.shorter_side_min = side;
  }
  const int by = static_cast<int>(
      request.Reduction(static_cast<uint32_t>(width), static_cast<uint32_t>(height), 8));
  return {1, by >= 8 ? 8 : by >= 4 ? 4 : by >= 2 ? 2 : 1};
}

media::Raster MiddleCut(const media::Raster& raster, const media::PixelsWanted& wanted) {
  const double side = std::min(raster.width, raster.height);
  const media::Area middle{(raster.width - side) / 2, (raster.height - side) / 2, side, side};
  return media::Resize(raster, middle, wanted.width, wanted.height);
}

media::Raster Padded(const media::Raster& raster, const media::PixelsWanted& wanted) {
  const double scale = std::min(static_cast<double>(wanted.width) / raster.width,
                                static_cast<double>(wanted.height) / raster.height);
  const auto scaled = [&](uint32_t side, uint32_t side_max) {
    return std::clamp<uint32_t>(static_cast<uint32_t>(std::lround(side * scale)), 1, side_max);
  };
  const media::Raster inner = media::Resize(raster, scaled(raster.width, wanted.width),
                                            scaled(raster.height, wanted.height));
  media::Raster out(wanted.width, wanted.height);
  std::fill(out.rgbx.begin(), out.rgbx.end(), 255);
  const uint32_t left = (out.width - inner.width) / 2;
  const uint32_t top = (out.height - inner.height) / 2;
  for (uint32_t y = 0; y < inner.height; ++y) {
    std::copy_n(inner.row(y), size_t{inner.width} * 4, out.row(top + y) + size_t{left} * 4);
  }
  return out;
}

}  // namespace

BareJpeg::BareJpeg(const media::PixelsWanted& wanted, uint32_t thumbnail_side)
    : wanted_(wanted), thumbnail_side_(thumbnail_side), decoder_(tjInitDecompress()) {
  assert(wanted.fit != Fit::kStretch);
}

BareJpeg::~BareJpeg() { tjDestroy(decoder_); }

Result<std::string> BareJpeg::Pixels(const std::string& path) {
  const std::string file = TRY(ReadFile(path));
  const auto* bytes = reinterpret_cast<const unsigned char*>(file.data());
  int width = 0, height = 0, subsampling = 0, colors = 0;
  if (tjDecompressHeader3(decoder_, bytes, file.size(), &width, &height, &subsampling, &colors)) {
    return Error{Code::kCorrupt, path + ": " + tjGetErrorStr2(decoder_)};
  }
  const tjscalingfactor scale = ScaleFor(wanted_, thumbnail_side_, width, height);
  const int w = TJSCALED(width, scale);
  const int h = TJSCALED(height, scale);
  media::Raster raster(static_cast<uint32_t>(w), static_cast<uint32_t>(h));
  if (tjDecompress2(decoder_, bytes, file.size(), raster.rgbx.data(), w, 0, h, TJPF_RGBX,
                    TJFLAG_FASTUPSAMPLE)) {
    return Error{Code::kCorrupt, path + ": " + tjGetErrorStr2(decoder_)};
  }
  return media::ToRgb(wanted_.fit == Fit::kPad ? Padded(raster, wanted_)
                                               : MiddleCut(raster, wanted_));
}

}  // namespace msearch::bench
