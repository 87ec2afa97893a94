// libjpeg-turbo can stop its inverse transform at 1/2, 1/4 or 1/8 of the size, which costs a
// fraction of the full one; what is left is mostly the entropy decoding, which jpeg_entropy.h does
// for healthy files. The file is read in pieces that stay in the processor's cache instead of being
// loaded whole.
//
// The library reports errors by a call-back that must not return: it jumps back here. So nothing
// with a destructor may live between setjmp and the jump but in `Reader`, which outlives both.

#include <csetjmp>
#include <cstdio>

// Needs the one above.
#include <jpeglib.h>

// Needs the one above.
#include <jerror.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "media/color.h"
#include "media/jpeg_entropy.h"
#include "media/picture.h"

namespace msearch::media {
namespace {

constexpr size_t kPieceBytes = 128 << 10;
constexpr int kScansMax = 500;  // a progressive file needs about 10; each costs a pass
constexpr uint64_t kMemoryMax = uint64_t{2} << 30;

struct Reader {
  // What the library's call-backs are given leads back to the Reader by these being its members.
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr file{};
  jpeg_progress_mgr progress{};
  std::jmp_buf failed;

  int fd = -1;
  std::string_view memory;  // instead of the file
  uint64_t offset = 0;
  std::vector<JOCTET> piece = std::vector<JOCTET>(kPieceBytes);
  Error error;
  std::optional<Error> unreadable;  // the disk's fault, not the file's
  std::string first_fault;          // "ends early", "damaged"; empty: none
  double faulty_from = 1.0;         // share of the rows before it
  int faulty_scan = 0;

  JpegEntropy entropy;
  bool swift = false;    // with `entropy` where it can
  bool strange = false;  // not for it

  DecodedPicture picture;
  std::string icc;
  bool cmyk = false;
  bool inverted = false;

  Reader(int file_descriptor, std::string_view in_memory, bool swiftly);
  ~Reader() { jpeg_destroy_decompress(&info); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Result<DecodedPicture> Decode(const PictureRequest& request);
  bool DecodeRows(const PictureRequest& request);
  void ReadMarkers();
  bool IsKept();
  size_t ReadPiece();
  void NoteFault(const char* fault);
};

Reader& Of(j_common_ptr info) { return *static_cast<Reader*>(info->client_data); }
Reader& Of(j_decompress_ptr info) { return *static_cast<Reader*>(info->client_data); }

Code CodeOf(int message) {
  switch (message) {
    case JERR_OUT_OF_MEMORY:
    case JERR_WIDTH_OVERFLOW:
    case JERR_IMAGE_TOO_BIG:
      return Code::kTooLarge;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_SOF_UNSUPPORTED:
      return Code::kUnsupported;
    default:
      return Code::kCorrupt;
  }
}

[[noreturn]] void Fail(j_common_ptr info) {
  Reader& reader = Of(info);
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  reader.error = {CodeOf(info->err->msg_code), std::string("JPEG: ") + text};
  std::longjmp(reader.failed, 1);
}

void Hear(j_common_ptr info, int level) {
  if (level >= 0) return;
  ++info->err->num_warnings;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
      return Of(info).NoteFault("ends early");
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      return Of(info).NoteFault("image data damaged");
    default:
      return;  // stray bytes between markers and the like: many cameras write them
  }
}

void Ignore(j_common_ptr) {}
void IgnoreSource(j_decompress_ptr) {}

boolean Fill(j_decompress_ptr info) {
  Reader& reader = Of(info);
  size_t size = reader.ReadPiece();
  if (size == 0) {
    if (info->global_state < 202) ERREXIT(info, JERR_INPUT_EOF);  // still in the header
    WARNMS(info, JWRN_JPEG_EOF);
    reader.piece[0] = 0xFF;
    reader.piece[1] = JPEG_EOI;
    size = 2;
  }
  reader.file.next_input_byte = reader.piece.data();
  reader.file.bytes_in_buffer = size;
  return TRUE;
}

void Skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  Reader& reader = Of(info);
  const auto bytes = static_cast<size_t>(count);
  if (bytes <= reader.file.bytes_in_buffer) {
    reader.file.next_input_byte += bytes;
    reader.file.bytes_in_buffer -= bytes;
    return;
  }
  reader.offset += bytes - reader.file.bytes_in_buffer;
  reader.file.bytes_in_buffer = 0;
}

void CountScans(j_common_ptr info) {
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number <= kScansMax) return;
  Reader& reader = Of(info);
  reader.error = {Code::kTooLarge,
                  "JPEG: more scans than the limit of " + std::to_string(kScansMax)};
  std::longjmp(reader.failed, 1);
}

boolean DecodeMcu(j_decompress_ptr info, JBLOCKROW* blocks) {
  Reader& reader = Of(info);
  if (reader.entropy.Decode(info, blocks)) return TRUE;
  reader.strange = true;
  std::longjmp(reader.failed, 1);
}

Reader::Reader(int file_descriptor, std::string_view in_memory, bool swiftly)
    : fd(file_descriptor), memory(in_memory), swift(swiftly) {
  info.client_data = this;
  info.err = jpeg_std_error(&errors);
  errors.error_exit = Fail;
  errors.emit_message = Hear;
  errors.output_message = Ignore;
  file.init_source = IgnoreSource;
  file.fill_input_buffer = Fill;
  file.skip_input_data = Skip;
  file.resync_to_restart = jpeg_resync_to_restart;
  file.term_source = IgnoreSource;
  progress.progress_monitor = CountScans;
}

// What can't be read looks missing to the library; Decode tells the true reason.
size_t Reader::ReadPiece() {
  if (fd < 0) {
    const std::string_view next =
        memory.substr(std::min<uint64_t>(offset, memory.size()), piece.size());
    std::copy(next.begin(), next.end(), piece.begin());
    offset += next.size();
    return next.size();
  }
  const Result<size_t> got =
      ReadAt(fd, offset, reinterpret_cast<char*>(piece.data()), piece.size());
  if (!got.ok()) {
    unreadable = got.error();
    return 0;
  }
  offset += *got;
  return *got;
}

void Reader::NoteFault(const char* fault) {
  if (!first_fault.empty()) return;
  first_fault = fault;
  faulty_scan = info.input_scan_number;
  if (info.total_iMCU_rows > 0) {
    faulty_from = static_cast<double>(info.input_iMCU_row) / info.total_iMCU_rows;
  }
}

void Reader::ReadMarkers() {
  for (jpeg_saved_marker_ptr marker = info.marker_list; marker != nullptr; marker = marker->next) {
    const std::string_view bytes(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (marker->marker == JPEG_APP0 + 1 && bytes.starts_with(std::string_view("Exif\0\0", 6))) {
      picture.exif = ReadExif(bytes);
      break;
    }
  }
  JOCTET* profile = nullptr;
  unsigned size = 0;
  if (jpeg_read_icc_profile(&info, &profile, &size)) {
    icc.assign(reinterpret_cast<const char*>(profile), size);
    free(profile);
  }
}

// The scale of the inverse transform: 8, 4, 2 or 1 eighths, the sizes that are done with SIMD.
void Scale(jpeg_decompress_struct& info, const PictureRequest& request) {
  const uint32_t reduction = request.Reduction(info.image_width, info.image_height, 8);
  info.scale_denom = 8;
  info.scale_num = reduction >= 8 ? 1 : reduction >= 4 ? 2 : reduction >= 2 ? 4 : 8;
}

// False: `error` says why.
bool Reader::DecodeRows(const PictureRequest& request) {
  if (setjmp(failed) != 0) return false;
  jpeg_create_decompress(&info);
  info.client_data = this;
  info.src = &file;
  info.progress = &progress;
  info.mem->max_memory_to_use = kMemoryMax;
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_save_markers(&info, JPEG_APP0 + 2, 0xFFFF);
  jpeg_read_header(&info, TRUE);
  if (Result<> fits = request.CheckSize(info.image_width, info.image_height); !fits.ok()) {
    error = fits.error();
    return false;
  }
  picture.width = info.image_width;
  picture.height = info.image_height;
  ReadMarkers();

  cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  inverted = info.saw_Adobe_marker;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_EXT_RGBX;
  Scale(info, request);
  info.do_fancy_upsampling = info.scale_num == 8;
  jpeg_start_decompress(&info);
  // At full size there is nothing to step over.
  if (swift && info.scale_num < 8) entropy.Install(&info, DecodeMcu);
  picture.raster = Raster(info.output_width, info.output_height);
  while (info.output_scanline < info.output_height) {
    JSAMPROW rows[8];
    const uint32_t count = std::min<uint32_t>(8, info.output_height - info.output_scanline);
    for (uint32_t i = 0; i < count; ++i) rows[i] = picture.raster.row(info.output_scanline + i);
    jpeg_read_scanlines(&info, rows, count);
  }
  return true;
}

bool Reader::IsKept() {
  if (first_fault.empty()) return true;
  if (!jpeg_has_multiple_scans(&info)) return faulty_from >= kJpegKeptShare;
  if (info.coef_bits == nullptr || faulty_scan != info.input_scan_number) return false;
  for (int component = 0; component < info.num_components; ++component) {
    const int* precision = info.coef_bits[component];
    if (std::any_of(precision, precision + DCTSIZE2, [](int bits) { return bits != 0; })) {
      return false;
    }
  }
  return true;
}

Result<DecodedPicture> Reader::Decode(const PictureRequest& request) {
  const bool decoded = DecodeRows(request);
  strange |= !first_fault.empty();
  if (unreadable) return *unreadable;
  if (!decoded) return error;
  if (!IsKept()) {
    return Error{Code::kCorrupt, "JPEG: " + first_fault + ", after " +
                                     std::to_string(static_cast<int>(faulty_from * 100)) +
                                     " % of its rows"};
  }
  if (cmyk) {
    CmykToSrgb(picture.raster, icc, inverted);
  } else {
    RgbToSrgb(picture.raster, icc);
  }
  return std::move(picture);
}

Result<DecodedPicture> Decode(int fd, std::string_view memory, const PictureRequest& request) {
  {
    Reader swift(fd, memory, true);
    Result<DecodedPicture> picture = swift.Decode(request);
    if (!swift.strange) return picture;
  }
  return Reader(fd, memory, false).Decode(request);
}

}  // namespace

Result<DecodedPicture> DecodeJpeg(const MediaSource& source, const PictureRequest& request) {
  return Decode(source.fd, {}, request);
}

Result<DecodedPicture> DecodeJpegBytes(std::string_view bytes, const PictureRequest& request) {
  return Decode(-1, bytes, request);
}

}  // namespace msearch::media
