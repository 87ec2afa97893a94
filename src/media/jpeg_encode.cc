#include <csetjmp>
#include <cstdio>

// Needs the one above.
#include <jpeglib.h>

#include <algorithm>
#include <cstdlib>

#include "media/codec.h"
#include "media/encode.h"

namespace msearch::media {
namespace {

// As in jpeg_decode.cc: errors jump, so whatever has a destructor lives outside.
struct Writer {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf failed;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  std::vector<uint8_t> row;
  std::string exif;

  ~Writer() {
    jpeg_destroy_compress(&info);
    free(bytes);
  }
  bool Encode(const Raster& raster, const JpegOptions& options);
  void SetFormat(const JpegOptions& options);
};

[[noreturn]] void Fail(j_common_ptr info) {
  std::longjmp(static_cast<Writer*>(info->client_data)->failed, 1);
}
void Ignore(j_common_ptr) {}

void Writer::SetFormat(const JpegOptions& options) {
  using Layout = JpegOptions::Layout;
  const bool cmyk = options.layout == Layout::kCmyk;
  info.input_components = 4;
  info.in_color_space = cmyk ? JCS_CMYK : JCS_EXT_RGBX;
  jpeg_set_defaults(&info);
  if (options.layout == Layout::kGrey) jpeg_set_colorspace(&info, JCS_GRAYSCALE);
  jpeg_set_quality(&info, options.quality, TRUE);
  if (options.progressive) jpeg_simple_progression(&info);
}

// Adobe's way: 255 is no ink.
void ToInk(uint8_t* row, uint32_t width) {
  for (uint32_t x = 0; x < width; ++x) row[size_t{x} * 4 + 3] = 255;
}

bool Writer::Encode(const Raster& raster, const JpegOptions& options) {
  info.client_data = this;
  info.err = jpeg_std_error(&errors);
  errors.error_exit = Fail;
  errors.output_message = Ignore;
  row.resize(size_t{raster.width} * 4);
  if (!options.exif.empty()) exif = std::string("Exif\0\0", 6).append(options.exif);
  if (setjmp(failed) != 0) return false;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = raster.width;
  info.image_height = raster.height;
  SetFormat(options);
  jpeg_start_compress(&info, TRUE);
  if (!exif.empty()) {
    jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(exif.data()),
                      static_cast<unsigned>(exif.size()));
  }
  if (!options.icc_profile.empty()) {
    jpeg_write_icc_profile(&info, reinterpret_cast<const JOCTET*>(options.icc_profile.data()),
                           static_cast<unsigned>(options.icc_profile.size()));
  }
  while (info.next_scanline < info.image_height) {
    const uint8_t* from = raster.row(info.next_scanline);
    row.assign(from, from + row.size());
    if (options.layout == JpegOptions::Layout::kCmyk) ToInk(row.data(), raster.width);
    JSAMPROW rows[1] = {row.data()};
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

Result<std::string> EncodeJpeg(const Raster& raster, const JpegOptions& options) {
  Writer writer;
  if (!writer.Encode(raster, options)) return Error{Code::kInternal, "JPEG: encoding failed"};
  return std::string(reinterpret_cast<const char*>(writer.bytes), writer.size);
}

Result<std::string> JpegOf(const View& view) {
  const size_t pixels = size_t{view.width} * view.height;
  if (pixels == 0 || view.rgb.size() != pixels * 3) return Error{Code::kInvalid, "view: empty"};
  Raster raster(view.width, view.height);
  for (size_t i = 0; i < pixels; ++i) {
    std::copy_n(view.rgb.data() + i * 3, 3, reinterpret_cast<char*>(raster.rgbx.data()) + i * 4);
  }
  return EncodeJpeg(raster);
}

}  // namespace msearch::media
