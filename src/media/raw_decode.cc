// Cameras put a JPEG of the picture into their raw files, mostly of full size: it is read first, as
// it looks as the photographer saw it and costs a tenth of developing. Only where it is smaller
// than what is needed the sensor's data are developed, at half size: four of its cells make one
// pixel without guessing.

#include <cstdlib>
#include <memory>

#include "base/strings.h"
#include "media/dynamic_library.h"
#include "media/picture.h"
#include "media/raw_library.h"

namespace msearch::media {
namespace {

Result<RawLibrary> Load() {
  // LibRaw's loops run on all processors otherwise; here every worker has one.
  setenv("OMP_NUM_THREADS", "1", 0);
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libraw_r.so.20"));
  RawLibrary raw;
#define MSEARCH_RAW_FIND(name)                                          \
  if (!library.Find(#name, raw.name)) {                                 \
    return Error{Code::kUnsupported, "LibRaw: has no function " #name}; \
  }
  MSEARCH_RAW_FUNCTIONS(MSEARCH_RAW_FIND)
#undef MSEARCH_RAW_FIND
  return raw;
}

Result<> Check(int error) {
  if (error == LIBRAW_SUCCESS) return Ok{};
  Code code = Code::kCorrupt;
  if (error == LIBRAW_FILE_UNSUPPORTED || error == LIBRAW_NOT_IMPLEMENTED) {
    code = Code::kUnsupported;
  }
  if (error == LIBRAW_UNSUFFICIENT_MEMORY || error == LIBRAW_TOO_BIG) code = Code::kTooLarge;
  return Error{code, std::string("raw picture: ") + Raw()->libraw_strerror(error)};
}

// As a turn in EXIF's numbers.
int OrientationOf(int flip) {
  switch (flip) {
    case 3:
      return 3;
    case 5:
      return 8;
    case 6:
      return 6;
    default:
      return 1;
  }
}

using RawFile = std::unique_ptr<libraw_data_t, decltype(&libraw_close)>;
using RawImage = std::unique_ptr<libraw_processed_image_t, decltype(&libraw_dcraw_clear_mem)>;

Result<Raster> ToRaster(const libraw_processed_image_t& image) {
  const size_t pixels = size_t{image.width} * image.height;
  if (image.type != LIBRAW_IMAGE_BITMAP || image.bits != 8 || pixels == 0 ||
      (image.colors != 3 && image.colors != 1) || image.data_size < pixels * image.colors) {
    return Error{Code::kUnsupported, "raw picture: of a kind not known"};
  }
  Raster raster(image.width, image.height);
  for (size_t i = 0; i < pixels; ++i) {
    for (size_t channel = 0; channel < 3; ++channel) {
      raster.rgbx[i * 4 + channel] = image.data[image.colors == 3 ? i * 3 + channel : i];
    }
  }
  return raster;
}

Result<RawImage> Taken(libraw_processed_image_t* image, int error) {
  if (image == nullptr) {
    TRY(Check(error));
    return Error{Code::kCorrupt, "raw picture: nothing came out"};
  }
  return RawImage(image, Raw()->libraw_dcraw_clear_mem);
}

Result<DecodedPicture> Preview(libraw_data_t* file, const PictureRequest& request) {
  const RawLibrary& raw = *Raw();
  TRY(Check(raw.libraw_unpack_thumb(file)));
  const libraw_thumbnail_t& preview = file->thumbnail;
  if (preview.tformat == LIBRAW_THUMBNAIL_JPEG && preview.thumb != nullptr) {
    return DecodeJpegBytes({preview.thumb, preview.tlength}, request);
  }
  int error = 0;
  libraw_processed_image_t* made = raw.libraw_dcraw_make_mem_thumb(file, &error);
  const RawImage image = TRY(Taken(made, error));
  DecodedPicture picture;
  picture.raster = TRY(ToRaster(*image));
  picture.width = picture.raster.width;
  picture.height = picture.raster.height;
  return picture;
}

Result<Raster> Developed(libraw_data_t* file) {
  const RawLibrary& raw = *Raw();
  file->params.half_size = 1;
  file->params.use_camera_wb = 1;
  file->params.output_bps = 8;
  file->params.user_flip = 0;  // turned later, like every picture
  TRY(Check(raw.libraw_unpack(file)));
  TRY(Check(raw.libraw_dcraw_process(file)));
  int error = 0;
  libraw_processed_image_t* made = raw.libraw_dcraw_make_mem_image(file, &error);
  return ToRaster(*TRY(Taken(made, error)));
}

bool IsEnough(const Result<DecodedPicture>& preview, const PictureRequest& request) {
  if (!preview.ok()) return false;
  return std::max(preview->width, preview->height) >= request.longer_side_min &&
         std::min(preview->width, preview->height) >= request.shorter_side_min;
}

// What the raw file says, else what its preview says, else what LibRaw knows of the maker.
ExifFacts FactsOf(const libraw_data_t* file, const std::string& bytes,
                  const Result<DecodedPicture>& preview) {
  ExifFacts facts = ReadExif(bytes);
  if (preview.ok()) {
    if (!facts.captured_at) facts.captured_at = preview->exif.captured_at;
    if (facts.camera.empty()) facts.camera = preview->exif.camera;
    if (!facts.gps) facts.gps = preview->exif.gps;
  }
  if (facts.camera.empty()) {
    facts.camera =
        SanitizeUtf8(Trim(std::string(file->idata.make) + " " + std::string(file->idata.model)));
  }
  return facts;
}

}  // namespace

const Result<RawLibrary>& Raw() {
  static const Result<RawLibrary> library = Load();
  return library;
}

Result<DecodedPicture> DecodeRaw(const MediaSource& source, const PictureRequest& request) {
  if (!Raw().ok()) return Raw().error();
  const RawLibrary& raw = *Raw();
  std::string bytes = TRY(ReadSource(source, kPictureBytesMax));
  const RawFile file(
      raw.libraw_init(LIBRAW_OPIONS_NO_MEMERR_CALLBACK | LIBRAW_OPIONS_NO_DATAERR_CALLBACK),
      raw.libraw_close);
  if (!file) return Error{Code::kTooLarge, "raw picture: no memory"};
  TRY(Check(raw.libraw_open_buffer(file.get(), bytes.data(), bytes.size())));
  DecodedPicture picture;
  picture.width = file->sizes.width;
  picture.height = file->sizes.height;
  TRY(request.CheckSize(picture.width, picture.height));

  Result<DecodedPicture> preview = Preview(file.get(), request);
  picture.exif = FactsOf(file.get(), bytes, preview);
  picture.exif.orientation = OrientationOf(file->sizes.flip);
  if (!IsEnough(preview, request)) {
    Result<Raster> developed = Developed(file.get());
    if (developed.ok()) {
      picture.raster = std::move(*developed);
      return picture;
    }
    if (!preview.ok()) return developed.error();
  }
  // A few cameras turn the preview themselves.
  const bool turned = (preview->width > preview->height) != (picture.width > picture.height);
  if (turned && SwapsSides(picture.exif.orientation)) {
    picture.exif.orientation = 1;
    std::swap(picture.width, picture.height);
  }
  picture.raster = std::move(preview->raster);
  return picture;
}

}  // namespace msearch::media
