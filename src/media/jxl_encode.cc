#include <memory>

#include "media/encode.h"
#include "media/jxl_library.h"

namespace msearch::media {

Result<std::string> EncodeJxl(const Raster& raster, std::string_view exif, int orientation) {
  if (!Jxl().ok()) return Jxl().error();
  const JxlLibrary& jxl = *Jxl();
  const std::unique_ptr<JxlEncoder, decltype(&JxlEncoderDestroy)> encoder(
      jxl.JxlEncoderCreate(nullptr), jxl.JxlEncoderDestroy);
  JxlBasicInfo info;
  jxl.JxlEncoderInitBasicInfo(&info);
  info.xsize = raster.width;
  info.ysize = raster.height;
  info.bits_per_sample = 8;
  info.orientation = static_cast<JxlOrientation>(orientation);
  JxlColorEncoding srgb;
  jxl.JxlColorEncodingSetToSRGB(&srgb, JXL_FALSE);
  if (!exif.empty()) jxl.JxlEncoderUseBoxes(encoder.get());
  bool fine = jxl.JxlEncoderSetBasicInfo(encoder.get(), &info) == JXL_ENC_SUCCESS &&
              jxl.JxlEncoderSetColorEncoding(encoder.get(), &srgb) == JXL_ENC_SUCCESS;
  if (!exif.empty()) {
    const std::string block = std::string(4, '\0').append(exif);
    fine = fine && jxl.JxlEncoderAddBox(encoder.get(), "Exif",
                                        reinterpret_cast<const uint8_t*>(block.data()),
                                        block.size(), JXL_FALSE) == JXL_ENC_SUCCESS;
    jxl.JxlEncoderCloseBoxes(encoder.get());
  }
  const std::string rgb = ToRgb(raster);
  constexpr JxlPixelFormat kRgb = {3, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
  fine =
      fine && jxl.JxlEncoderAddImageFrame(jxl.JxlEncoderFrameSettingsCreate(encoder.get(), nullptr),
                                          &kRgb, rgb.data(), rgb.size()) == JXL_ENC_SUCCESS;
  jxl.JxlEncoderCloseInput(encoder.get());
  std::string out;
  for (JxlEncoderStatus status = JXL_ENC_NEED_MORE_OUTPUT;
       fine && status == JXL_ENC_NEED_MORE_OUTPUT;) {
    uint8_t buffer[16384];
    uint8_t* next = buffer;
    size_t left = sizeof(buffer);
    status = jxl.JxlEncoderProcessOutput(encoder.get(), &next, &left);
    fine = status != JXL_ENC_ERROR;
    out.append(reinterpret_cast<const char*>(buffer), sizeof(buffer) - left);
  }
  if (!fine) return Error{Code::kInternal, "JPEG XL: can't be encoded"};
  return out;
}

}  // namespace msearch::media
