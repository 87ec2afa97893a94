// libjxl turns the picture upright itself, and gives sRGB where the file's colours allow it; else
// its profile is applied here. Of an animation the first frame is taken.

#include <memory>

#include "media/color.h"
#include "media/dynamic_library.h"
#include "media/jxl_library.h"
#include "media/picture.h"

namespace msearch::media {
namespace {

constexpr JxlPixelFormat kRgba = {4, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
constexpr size_t kExifBytesMax = 1 << 20;

Result<JxlLibrary> Load() {
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libjxl.so.0.7"));
  JxlLibrary jxl;
#define MSEARCH_JXL_FIND(name)                                          \
  if (!library.Find(#name, jxl.name)) {                                 \
    return Error{Code::kUnsupported, "libjxl: has no function " #name}; \
  }
  MSEARCH_JXL_FUNCTIONS(MSEARCH_JXL_FIND)
#undef MSEARCH_JXL_FIND
  return jxl;
}

class Reader {
 public:
  Reader(const std::string& file, const PictureRequest& request)
      : file_(file),
        request_(request),
        jxl_(*Jxl()),
        decoder_(jxl_.JxlDecoderCreate(nullptr), jxl_.JxlDecoderDestroy) {}

  Result<DecodedPicture> Read() {
    if (!decoder_) return Error{Code::kTooLarge, "JPEG XL: no memory"};
    jxl_.JxlDecoderSubscribeEvents(decoder_.get(), JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING |
                                                       JXL_DEC_FULL_IMAGE | JXL_DEC_BOX);
    jxl_.JxlDecoderSetDecompressBoxes(decoder_.get(), JXL_TRUE);
    jxl_.JxlDecoderSetInput(decoder_.get(), reinterpret_cast<const uint8_t*>(file_.data()),
                            file_.size());
    jxl_.JxlDecoderCloseInput(decoder_.get());
    for (bool more = true; more;) more = TRY(Step());
    if (!decoded_) return Error{Code::kCorrupt, "JPEG XL: no picture in it"};
    picture_.raster = OnWhite();
    rgba_ = {};
    RgbToSrgb(picture_.raster, profile_);
    // The block begins with the offset of the TIFF structure after it, 4 bytes.
    if (exif_.size() > 4) picture_.exif = ReadExif(std::string_view(exif_).substr(4));
    picture_.exif.orientation = 1;
    return std::move(picture_);
  }

 private:
  // False at the end.
  Result<bool> Step() {
    const JxlDecoderStatus status = jxl_.JxlDecoderProcessInput(decoder_.get());
    if (reads_exif_ && status != JXL_DEC_BOX_NEED_MORE_OUTPUT) TakeExif();
    switch (status) {
      case JXL_DEC_BASIC_INFO:
        TRY(TakeSize());
        return true;
      case JXL_DEC_COLOR_ENCODING:
        TakeColors();
        return true;
      case JXL_DEC_BOX:
        FindExif();
        return true;
      case JXL_DEC_BOX_NEED_MORE_OUTPUT:  // more than any camera notes
        reads_exif_ = false;
        return !decoded_;
      case JXL_DEC_NEED_IMAGE_OUT_BUFFER:
        if (decoded_) return false;  // the second frame of an animation
        rgba_.resize(size_t{picture_.width} * picture_.height * 4);
        if (jxl_.JxlDecoderSetImageOutBuffer(decoder_.get(), &kRgba, rgba_.data(), rgba_.size()) !=
            JXL_DEC_SUCCESS) {
          return Error{Code::kCorrupt, "JPEG XL: can't be shown as RGB"};
        }
        return true;
      case JXL_DEC_FULL_IMAGE:
        decoded_ = true;
        return true;
      case JXL_DEC_SUCCESS:
        return false;
      case JXL_DEC_NEED_MORE_INPUT:
        if (decoded_) return false;  // only what follows the picture is missing
        return Error{Code::kCorrupt, "JPEG XL: ends early"};
      default:
        if (decoded_) return false;
        return Error{Code::kCorrupt, "JPEG XL: broken"};
    }
  }

  Result<> TakeSize() {
    JxlBasicInfo info;
    if (jxl_.JxlDecoderGetBasicInfo(decoder_.get(), &info) != JXL_DEC_SUCCESS) {
      return Error{Code::kCorrupt, "JPEG XL: broken header"};
    }
    TRY(request_.CheckSize(info.xsize, info.ysize));
    picture_.width = info.xsize;
    picture_.height = info.ysize;
    return Ok{};
  }

  void TakeColors() {
    JxlColorEncoding srgb;
    jxl_.JxlColorEncodingSetToSRGB(&srgb, JXL_FALSE);
    jxl_.JxlDecoderSetPreferredColorProfile(decoder_.get(), &srgb);
    size_t size = 0;
    if (jxl_.JxlDecoderGetICCProfileSize(decoder_.get(), &kRgba, JXL_COLOR_PROFILE_TARGET_DATA,
                                         &size) != JXL_DEC_SUCCESS) {
      return;
    }
    profile_.resize(size);
    if (jxl_.JxlDecoderGetColorAsICCProfile(decoder_.get(), &kRgba, JXL_COLOR_PROFILE_TARGET_DATA,
                                            reinterpret_cast<uint8_t*>(profile_.data()),
                                            size) != JXL_DEC_SUCCESS) {
      profile_.clear();
    }
  }

  void FindExif() {
    JxlBoxType type;
    if (!exif_.empty() ||
        jxl_.JxlDecoderGetBoxType(decoder_.get(), type, JXL_TRUE) != JXL_DEC_SUCCESS ||
        std::string_view(type, 4) != "Exif") {
      return;
    }
    exif_.resize(kExifBytesMax);
    reads_exif_ =
        jxl_.JxlDecoderSetBoxBuffer(decoder_.get(), reinterpret_cast<uint8_t*>(exif_.data()),
                                    exif_.size()) == JXL_DEC_SUCCESS;
  }

  void TakeExif() {
    exif_.resize(kExifBytesMax - jxl_.JxlDecoderReleaseBoxBuffer(decoder_.get()));
    reads_exif_ = false;
  }

  Raster OnWhite() const {
    RowReducer reducer(picture_.width, picture_.height,
                       request_.Reduction(picture_.width, picture_.height, 64));
    std::vector<uint8_t> row(size_t{picture_.width} * 4);
    for (uint32_t y = 0; y < picture_.height; ++y) {
      const uint8_t* rgba = rgba_.data() + y * row.size();
      for (size_t i = 0; i < row.size(); i += 4) {
        const int alpha = rgba[i + 3];
        for (size_t channel = 0; channel < 3; ++channel) {
          row[i + channel] =
              static_cast<uint8_t>((rgba[i + channel] * alpha + 255 * (255 - alpha) + 127) / 255);
        }
      }
      reducer.Add(row.data());
    }
    return reducer.Finish();
  }

  const std::string& file_;
  const PictureRequest& request_;
  const JxlLibrary& jxl_;
  const std::unique_ptr<JxlDecoder, decltype(&JxlDecoderDestroy)> decoder_;
  DecodedPicture picture_;
  std::vector<uint8_t, Uninitialized<uint8_t>> rgba_;
  std::string profile_;
  std::string exif_;
  bool reads_exif_ = false;
  bool decoded_ = false;
};

}  // namespace

const Result<JxlLibrary>& Jxl() {
  static const Result<JxlLibrary> library = Load();
  return library;
}

Result<DecodedPicture> DecodeJxl(const MediaSource& source, const PictureRequest& request) {
  if (!Jxl().ok()) return Jxl().error();
  const std::string file = TRY(ReadSource(source, kPictureBytesMax));
  return Reader(file, request).Read();
}

}  // namespace msearch::media
