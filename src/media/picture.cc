#include "media/picture.h"

#include <algorithm>
#include <cmath>

#include "media/encode.h"
#include "media/heif_library.h"
#include "media/jxl_library.h"
#include "media/perceptual_hash.h"
#include "media/raw_library.h"
#include "media/resize.h"
#include "media/vips_library.h"
#include "media/webp_library.h"

namespace msearch::media {
namespace {

using Fit = PixelsWanted::Fit;

uint32_t Scaled(uint32_t side, double scale) {
  return std::max<uint32_t>(1, static_cast<uint32_t>(std::lround(side * scale)));
}

// The part of the raster that has the wanted ratio, from its middle.
Area MiddleOf(const Raster& raster, const PixelsWanted& wanted) {
  const double width = raster.width;
  const double height = raster.height;
  const double scale = std::max(wanted.width / width, wanted.height / height);
  const double part_width = std::min(width, wanted.width / scale);
  const double part_height = std::min(height, wanted.height / scale);
  return {(width - part_width) / 2, (height - part_height) / 2, part_width, part_height};
}

Raster Padded(const Raster& raster, const PixelsWanted& wanted) {
  const double scale = std::min(static_cast<double>(wanted.width) / raster.width,
                                static_cast<double>(wanted.height) / raster.height);
  const Raster inner = Resize(raster, std::min(wanted.width, Scaled(raster.width, scale)),
                              std::min(wanted.height, Scaled(raster.height, scale)));
  Raster out(wanted.width, wanted.height);
  std::fill(out.rgbx.begin(), out.rgbx.end(), 255);
  const uint32_t left = (out.width - inner.width) / 2;
  const uint32_t top = (out.height - inner.height) / 2;
  for (uint32_t y = 0; y < inner.height; ++y) {
    std::copy_n(inner.row(y), size_t{inner.width} * 4, out.row(top + y) + size_t{left} * 4);
  }
  return out;
}

Raster Thumbnail(const Raster& raster, const Prepared& picture, uint32_t side_max) {
  const uint32_t longer = std::max(picture.width, picture.height);
  const double scale = std::min(1.0, static_cast<double>(side_max) / longer);
  return Resize(raster, Scaled(picture.width, scale), Scaled(picture.height, scale));
}

}  // namespace

std::string PixelsFor(const Raster& raster, const PixelsWanted& wanted) {
  switch (wanted.fit) {
    case Fit::kStretch:
      return ToRgb(Resize(raster, wanted.width, wanted.height));
    case Fit::kCenterCrop:
      return ToRgb(Resize(raster, MiddleOf(raster, wanted), wanted.width, wanted.height));
    case Fit::kPad:
      return ToRgb(Padded(raster, wanted));
  }
  return {};
}

Raster Reduced(const Raster& raster, uint32_t side_max) {
  const uint32_t longer = std::max(raster.width, raster.height);
  if (longer <= side_max) return raster;
  const double scale = static_cast<double>(side_max) / longer;
  return Resize(raster, std::min(side_max, Scaled(raster.width, scale)),
                std::min(side_max, Scaled(raster.height, scale)));
}

uint32_t PictureRequest::Reduction(uint32_t width, uint32_t height, uint32_t most) const {
  const uint32_t shorter = std::min(width, height);
  const uint32_t longer = std::max(width, height);
  uint32_t by = most;
  if (shorter_side_min > 0) by = std::min(by, shorter / shorter_side_min);
  if (longer_side_min > 0) by = std::min(by, longer / longer_side_min);
  return std::max<uint32_t>(1, by);
}

Result<> PictureRequest::CheckSize(uint64_t width, uint64_t height) const {
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  if (width == 0 || height == 0) return Error{Code::kCorrupt, "picture: " + size + " pixels"};
  if (width > pixels_max || height > pixels_max / width) {
    return Error{Code::kTooLarge,
                 "picture: " + size + " pixels, limit " + std::to_string(pixels_max)};
  }
  return Ok{};
}

void PreloadPictureLibraries() {
  (void)Vips();
  (void)Heif();
  (void)Jxl();
  (void)Raw();
  (void)Webp();
}

PictureRequest RequestFor(const PrepareOptions& options) {
  PictureRequest request;
  request.pixels_max = options.picture_pixels_max;
  request.longer_side_min = options.thumbnail_side_max;
  const uint32_t side = std::max(options.pixels.width, options.pixels.height);
  if (options.pixels.fit == Fit::kPad) {
    request.longer_side_min = std::max(request.longer_side_min, side);
  } else {
    request.shorter_side_min = side;
  }
  // Enough for the perceptual hash when nothing else is wanted.
  request.longer_side_min = std::max<uint32_t>(request.longer_side_min, 64);
  return request;
}

Result<Prepared> PreparePicture(PictureDecoder decode, const MediaSource& source,
                                const PrepareOptions& options) {
  return PrepareDecoded(TRY(decode(source, RequestFor(options))), options);
}

Result<Prepared> PrepareDecoded(DecodedPicture decoded, const PrepareOptions& options) {
  const int orientation = decoded.exif.orientation;
  Prepared out;
  out.type = MediaType::kPicture;
  out.width = SwapsSides(orientation) ? decoded.height : decoded.width;
  out.height = SwapsSides(orientation) ? decoded.width : decoded.height;
  out.captured_at = decoded.exif.captured_at;
  out.camera = decoded.exif.camera;
  out.gps = decoded.exif.gps;

  const Raster raster = Upright(std::move(decoded.raster), orientation);
  const uint32_t side_max = options.thumbnail_side_max > 0 ? options.thumbnail_side_max : 64;
  const Raster thumbnail = Thumbnail(raster, out, side_max);
  if (options.thumbnail_side_max > 0) out.thumbnail = TRY(EncodeJpeg(thumbnail));
  out.perceptual_hash = PerceptualHash(thumbnail);

  Segment whole;
  if (options.pixels.width > 0 && options.pixels.height > 0) {
    out.pixels.push_back(PixelsFor(raster, options.pixels));
    whole.pixels = 0;
  }
  out.segments.push_back(std::move(whole));
  return out;
}

Result<Prepared> PreparePages(size_t pages, const PageDecoder& decode,
                              const PrepareOptions& options) {
  const PictureRequest request = RequestFor(options);
  Prepared out = TRY(PrepareDecoded(TRY(decode(0, request)), options));
  if (pages < 2) return out;
  out.attributes["pages"] = pages;
  if (pages > kPagesMax) out.attributes["pages_read"] = kPagesMax;
  out.segments[0].page = 1;
  for (uint32_t number = 2; number <= std::min<size_t>(pages, kPagesMax); ++number) {
    Result<DecodedPicture> page = decode(number - 1, request);
    if (!page.ok()) continue;
    Segment segment;
    segment.index = static_cast<uint32_t>(out.segments.size());
    segment.page = number;
    if (options.pixels.width > 0 && options.pixels.height > 0) {
      const int orientation = page->exif.orientation;
      const Raster raster = Upright(std::move(page->raster), orientation);
      segment.pixels = static_cast<int32_t>(out.pixels.size());
      out.pixels.push_back(PixelsFor(raster, options.pixels));
    }
    out.segments.push_back(std::move(segment));
  }
  return out;
}

Result<View> ViewPicture(PictureDecoder decode, const MediaSource& source,
                         const ViewWanted& wanted) {
  return ViewPage(
      1, [&](uint32_t, const PictureRequest& request) { return decode(source, request); }, wanted);
}

Result<View> ViewPage(size_t pages, const PageDecoder& decode, const ViewWanted& wanted) {
  const uint32_t number = wanted.page.value_or(1);
  if (number < 1 || number > pages) {
    return Error{Code::kNotFound, "page " + std::to_string(number) + ": not there"};
  }
  PictureRequest request;
  request.pixels_max = wanted.picture_pixels_max;
  request.longer_side_min = wanted.side_max;
  DecodedPicture decoded = TRY(decode(number - 1, request));
  const Raster raster =
      Reduced(Upright(std::move(decoded.raster), decoded.exif.orientation), wanted.side_max);
  return View{raster.width, raster.height, ToRgb(raster)};
}

}  // namespace msearch::media
