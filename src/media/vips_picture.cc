// The header is read first and held against the limit; then libvips decodes in strips and reduces
// on the way, so that memory is bounded by the reduced picture. It is reduced to twice what is
// needed, since the final sizes are cut from it by a second resampling.

#include <algorithm>
#include <cmath>

#include "media/encode.h"
#include "media/picture.h"
#include "media/vips_library.h"

namespace msearch::media {
namespace {

Result<VipsImagePtr> Taken(int failed, VipsImage* image) {
  if (failed != 0 || image == nullptr) return Error{Code::kCorrupt, Vips()->TakeError()};
  return VipsImagePtr(image);
}

// 8-bit sRGB without alpha.
Result<VipsImagePtr> OnWhite(VipsImagePtr image) {
  const VipsLibrary& vips = *Vips();
  VipsImage* next = nullptr;
  int failed = vips.vips_colourspace(image.get(), &next, VIPS_INTERPRETATION_sRGB, NULL);
  image = TRY(Taken(failed, next));
  if (vips.vips_image_hasalpha(image.get())) {
    VipsArrayDouble* white = vips.vips_array_double_newv(1, 255.0);
    next = nullptr;
    failed = vips.vips_flatten(image.get(), &next, "background", white, NULL);
    vips.vips_area_unref(VIPS_AREA(white));
    image = TRY(Taken(failed, next));
  }
  next = nullptr;
  failed = vips.vips_cast(image.get(), &next, VIPS_FORMAT_UCHAR, NULL);
  return Taken(failed, next);
}

Result<Raster> ToRaster(const VipsImagePtr& image) {
  const VipsLibrary& vips = *Vips();
  const int bands = vips.vips_image_get_bands(image.get());
  size_t size = 0;
  std::unique_ptr<uint8_t, decltype(vips.g_free)> bytes(
      static_cast<uint8_t*>(vips.vips_image_write_to_memory(image.get(), &size)), vips.g_free);
  if (!bytes) return Error{Code::kCorrupt, vips.TakeError()};
  Raster raster(static_cast<uint32_t>(vips.vips_image_get_width(image.get())),
                static_cast<uint32_t>(vips.vips_image_get_height(image.get())));
  const size_t pixels = raster.rgbx.size() / 4;
  if (bands < 3 || size < pixels * bands) return Error{Code::kCorrupt, "not a picture in colour"};
  for (size_t i = 0; i < pixels; ++i) {
    for (int channel = 0; channel < 3; ++channel) {
      raster.rgbx[i * 4 + channel] = bytes.get()[i * bands + channel];
    }
  }
  return raster;
}

ExifFacts ExifOf(VipsImage* image, const std::string& file) {
  const VipsLibrary& vips = *Vips();
  const void* exif = nullptr;
  size_t size = 0;
  if (vips.vips_image_get_typeof(image, VIPS_META_EXIF_NAME) != 0 &&
      vips.vips_image_get_blob(image, VIPS_META_EXIF_NAME, &exif, &size) == 0) {
    return ReadExif({static_cast<const char*>(exif), size});
  }
  return ReadExif(file);  // of a TIFF file; nothing in others
}

double Scale(const PictureRequest& request, uint32_t width, uint32_t height) {
  const double shorter = std::min(width, height);
  const double longer = std::max(width, height);
  return std::min(
      1.0, 2 * std::max(request.shorter_side_min / shorter, request.longer_side_min / longer));
}

Result<DecodedPicture> Decode(std::string& file, const PictureRequest& request, uint32_t page) {
  const VipsLibrary& vips = *Vips();
  // Only these have pages at all.
  const std::string chosen = page == 0 ? "" : "page=" + std::to_string(page);
  const VipsImagePtr header = TRY(
      Taken(0, vips.vips_image_new_from_buffer(file.data(), file.size(), chosen.c_str(), NULL)));
  DecodedPicture picture;
  picture.width = static_cast<uint32_t>(vips.vips_image_get_width(header.get()));
  picture.height = static_cast<uint32_t>(vips.vips_image_get_height(header.get()));
  TRY(request.CheckSize(picture.width, picture.height));
  picture.exif = ExifOf(header.get(), file);
  // The facts in the file's first directory are those of its first page.
  if (page > 0) {
    picture.exif.orientation = 1;
    vips.vips_image_get_int(header.get(), VIPS_META_ORIENTATION, &picture.exif.orientation);
  }

  const double scale = Scale(request, picture.width, picture.height);
  // Without a profile of its own a picture is sRGB; going through one would shift its colours.
  const bool profiled = vips.vips_image_get_typeof(header.get(), VIPS_META_ICC_NAME) != 0;
  const std::string loading = chosen + (chosen.empty() ? "" : ",") + "fail_on=error";
  VipsImage* reduced = nullptr;
  const int failed = vips.vips_thumbnail_buffer(
      file.data(), file.size(), &reduced, static_cast<int>(std::ceil(picture.width * scale)),
      "height", static_cast<int>(std::ceil(picture.height * scale)), "size", VIPS_SIZE_FORCE,
      "no_rotate", TRUE, "option_string", loading.c_str(), profiled ? "export_profile" : NULL,
      "srgb", NULL);
  picture.raster = TRY(ToRaster(TRY(OnWhite(TRY(Taken(failed, reduced))))));
  return picture;
}

}  // namespace

Result<DecodedPicture> DecodeWithVips(const MediaSource& source, const PictureRequest& request) {
  if (!Vips().ok()) return Vips().error();
  std::string file = TRY(ReadSource(source, kPictureBytesMax));
  return Decode(file, request, 0);
}

Result<DecodedPicture> DecodeTiffPage(std::string& file, const PictureRequest& request,
                                      uint32_t directory) {
  if (!Vips().ok()) return Vips().error();
  return Decode(file, request, directory);
}

Result<std::string> EncodeWithVips(const Raster& raster, const std::string& suffix,
                                   std::string_view exif) {
  if (!Vips().ok()) return Vips().error();
  const VipsLibrary& vips = *Vips();
  const std::string rgb = ToRgb(raster);
  const VipsImagePtr plain =
      TRY(Taken(0, vips.vips_image_new_from_memory_copy(
                       rgb.data(), rgb.size(), static_cast<int>(raster.width),
                       static_cast<int>(raster.height), 3, VIPS_FORMAT_UCHAR)));
  VipsImage* copy = nullptr;
  const int failed =
      vips.vips_copy(plain.get(), &copy, "interpretation", VIPS_INTERPRETATION_sRGB, NULL);
  const VipsImagePtr image = TRY(Taken(failed, copy));
  if (!exif.empty()) {
    const std::string blob = std::string("Exif\0\0", 6).append(exif);
    vips.vips_image_set_blob_copy(image.get(), VIPS_META_EXIF_NAME, blob.data(), blob.size());
  }
  void* bytes = nullptr;
  size_t size = 0;
  if (vips.vips_image_write_to_buffer(image.get(), suffix.c_str(), &bytes, &size, NULL) != 0) {
    return Error{Code::kInternal, vips.TakeError()};
  }
  std::string out(static_cast<const char*>(bytes), size);
  vips.g_free(bytes);
  return out;
}

}  // namespace msearch::media
