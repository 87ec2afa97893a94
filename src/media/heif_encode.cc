#include <cstring>

#include "media/encode.h"
#include "media/heif_library.h"

namespace msearch::media {
namespace {

Result<heif::Handle> AddPicture(const HeifLibrary& library, const heif::Context& context,
                                const heif::Encoder& encoder, const Raster& raster,
                                int orientation) {
  const int width = static_cast<int>(raster.width);
  const int height = static_cast<int>(raster.height);
  heif_image* raw_image = nullptr;
  TRY(CheckHeif(library.heif_image_create(width, height, heif_colorspace_RGB,
                                          heif_chroma_interleaved_RGB, &raw_image)));
  const heif::Image image(raw_image, library.heif_image_release);
  TRY(CheckHeif(
      library.heif_image_add_plane(raw_image, heif_channel_interleaved, width, height, 24)));
  int stride = 0;
  uint8_t* plane = library.heif_image_get_plane(raw_image, heif_channel_interleaved, &stride);
  const std::string rgb = ToRgb(raster);
  for (int y = 0; y < height; ++y) {
    std::memcpy(plane + size_t{1} * y * stride, rgb.data() + size_t{3} * y * width,
                size_t{3} * width);
  }
  heif_encoding_options* options = library.heif_encoding_options_alloc();
  options->image_orientation = static_cast<heif_orientation>(orientation);
  heif_image_handle* raw_handle = nullptr;
  const heif_error failed = library.heif_context_encode_image(context.get(), raw_image,
                                                              encoder.get(), options, &raw_handle);
  library.heif_encoding_options_free(options);
  TRY(CheckHeif(failed));
  return heif::Handle(raw_handle, library.heif_image_handle_release);
}

}  // namespace

Result<std::string> EncodeHeif(const Raster& raster, HeifFormat format, std::string_view exif,
                               int orientation, std::span<const Raster> further) {
  if (!Heif().ok()) return Heif().error();
  const HeifLibrary& library = *Heif();
  const heif::Context context(library.heif_context_alloc(), library.heif_context_free);
  heif_encoder* raw_encoder = nullptr;
  TRY(CheckHeif(library.heif_context_get_encoder_for_format(
      context.get(), format == HeifFormat::kHeic ? heif_compression_HEVC : heif_compression_AV1,
      &raw_encoder)));
  const heif::Encoder encoder(raw_encoder, library.heif_encoder_release);
  library.heif_encoder_set_lossy_quality(raw_encoder, 80);
  const heif::Handle handle = TRY(AddPicture(library, context, encoder, raster, orientation));
  if (!exif.empty()) {
    TRY(CheckHeif(library.heif_context_add_exif_metadata(context.get(), handle.get(), exif.data(),
                                                         static_cast<int>(exif.size()))));
  }
  for (const Raster& other : further) {
    TRY(AddPicture(library, context, encoder, other, orientation));
  }
  std::string out;
  heif_writer writer{};
  writer.writer_api_version = 1;
  writer.write = [](heif_context*, const void* data, size_t size, void* to) {
    static_cast<std::string*>(to)->assign(static_cast<const char*>(data), size);
    return heif_error{heif_error_Ok, heif_suberror_Unspecified, ""};
  };
  TRY(CheckHeif(library.heif_context_write(context.get(), &writer, &out)));
  return out;
}

}  // namespace msearch::media
