#include <algorithm>

#include "media/color.h"
#include "media/heif_library.h"
#include "media/picture.h"

namespace msearch::media {
namespace {

// The block begins with the offset of the TIFF structure after it, 4 bytes, big-endian.
ExifFacts ExifOf(const HeifLibrary& library, const heif_image_handle* handle) {
  heif_item_id id = 0;
  if (library.heif_image_handle_get_list_of_metadata_block_IDs(handle, "Exif", &id, 1) < 1)
    return {};
  std::string block(library.heif_image_handle_get_metadata_size(handle, id), '\0');
  if (block.size() < 4 ||
      library.heif_image_handle_get_metadata(handle, id, block.data()).code != heif_error_Ok) {
    return {};
  }
  uint64_t offset = 0;
  for (int i = 0; i < 4; ++i) offset = offset << 8 | static_cast<uint8_t>(block[i]);
  if (offset + 4 > block.size()) return {};
  ExifFacts facts = ReadExif(std::string_view(block).substr(4 + offset));
  facts.orientation = 1;
  return facts;
}

void Profile(const HeifLibrary& library, const heif_image_handle* handle, Raster& raster) {
  std::string profile(library.heif_image_handle_get_raw_color_profile_size(handle), '\0');
  if (profile.empty()) return;
  if (library.heif_image_handle_get_raw_color_profile(handle, profile.data()).code ==
      heif_error_Ok) {
    RgbToSrgb(raster, profile);
  }
}

Result<Raster> Reduced(const HeifLibrary& library, const heif_image* image,
                       const PictureRequest& request) {
  int stride = 0;
  const uint8_t* plane =
      library.heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
  const int width = library.heif_image_get_width(image, heif_channel_interleaved);
  const int height = library.heif_image_get_height(image, heif_channel_interleaved);
  if (plane == nullptr || width <= 0 || height <= 0 || stride < width * 4) {
    return Error{Code::kCorrupt, "HEIF: no picture in it"};
  }
  const auto w = static_cast<uint32_t>(width);
  const auto h = static_cast<uint32_t>(height);
  RowReducer reducer(w, h, request.Reduction(w, h, 64));
  std::vector<uint8_t> row(size_t{w} * 4);
  for (uint32_t y = 0; y < h; ++y) {
    const uint8_t* rgba = plane + size_t{y} * static_cast<size_t>(stride);
    for (size_t i = 0; i < row.size(); i += 4) {
      const int alpha = rgba[i + 3];
      for (int channel = 0; channel < 3; ++channel) {
        row[i + channel] =
            static_cast<uint8_t>((rgba[i + channel] * alpha + 255 * (255 - alpha) + 127) / 255);
      }
    }
    reducer.Add(row.data());
  }
  return reducer.Finish();
}

// An open file with its pictures, the main one first.
class HeifFile {
 public:
  static Result<HeifFile> Open(const MediaSource& source) {
    if (!Heif().ok()) return Heif().error();
    HeifFile file(*Heif(), TRY(ReadSource(source, kPictureBytesMax)));
    TRY(file.FindPictures());
    return file;
  }

  size_t pictures() const { return ids_.size(); }

  Result<DecodedPicture> Decode(uint32_t index, const PictureRequest& request) const {
    heif_image_handle* raw_handle = nullptr;
    TRY(CheckHeif(
        library_.heif_context_get_image_handle(context_.get(), ids_[index], &raw_handle)));
    const heif::Handle handle(raw_handle, library_.heif_image_handle_release);

    DecodedPicture picture;
    picture.width = static_cast<uint32_t>(library_.heif_image_handle_get_width(raw_handle));
    picture.height = static_cast<uint32_t>(library_.heif_image_handle_get_height(raw_handle));
    TRY(request.CheckSize(picture.width, picture.height));
    picture.exif = ExifOf(library_, raw_handle);

    heif_decoding_options* options = library_.heif_decoding_options_alloc();
    options->convert_hdr_to_8bit = 1;
    options->strict_decoding = 1;
    heif_image* raw_image = nullptr;
    const heif_error failed = library_.heif_decode_image(
        raw_handle, &raw_image, heif_colorspace_RGB, heif_chroma_interleaved_RGBA, options);
    library_.heif_decoding_options_free(options);
    TRY(CheckHeif(failed));
    const heif::Image image(raw_image, library_.heif_image_release);
    picture.raster = TRY(Reduced(library_, raw_image, request));
    Profile(library_, raw_handle, picture.raster);
    return picture;
  }

 private:
  HeifFile(const HeifLibrary& library, std::string bytes)
      : library_(library),
        bytes_(std::make_unique<std::string>(std::move(bytes))),
        context_(library.heif_context_alloc(), library.heif_context_free) {}

  Result<> FindPictures() {
    library_.heif_context_set_max_decoding_threads(context_.get(), 0);
    TRY(CheckHeif(library_.heif_context_read_from_memory_without_copy(
        context_.get(), bytes_->data(), bytes_->size(), nullptr)));
    heif_item_id main = 0;
    TRY(CheckHeif(library_.heif_context_get_primary_image_ID(context_.get(), &main)));
    const int count = library_.heif_context_get_number_of_top_level_images(context_.get());
    ids_.resize(static_cast<size_t>(std::clamp<int>(count, 0, kPagesMax + 1)));
    ids_.resize(static_cast<size_t>(library_.heif_context_get_list_of_top_level_image_IDs(
        context_.get(), ids_.data(), static_cast<int>(ids_.size()))));
    std::erase(ids_, main);
    ids_.insert(ids_.begin(), main);
    return Ok{};
  }

  const HeifLibrary& library_;
  std::unique_ptr<std::string> bytes_;  // the context refers to it
  heif::Context context_;
  std::vector<heif_item_id> ids_;
};

}  // namespace

Result<Prepared> PrepareHeif(const MediaSource& source, const PrepareOptions& options) {
  const HeifFile file = TRY(HeifFile::Open(source));
  return PreparePages(
      file.pictures(),
      [&](uint32_t page, const PictureRequest& request) { return file.Decode(page, request); },
      options);
}

Result<View> ViewHeif(const MediaSource& source, const ViewWanted& wanted) {
  const HeifFile file = TRY(HeifFile::Open(source));
  return ViewPage(
      file.pictures(),
      [&](uint32_t page, const PictureRequest& request) { return file.Decode(page, request); },
      wanted);
}

}  // namespace msearch::media
