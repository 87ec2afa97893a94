#include "media/jpeg_entropy.h"

#include <gtest/gtest.h>

#include <csetjmp>
#include <random>
#include <string>
#include <vector>

#include "media/raster.h"
#include "support/pictures.h"

namespace msearch::media {
namespace {

struct Kind {
  std::string name;
  int quality = 90;
  int across = 2;  // luma samples for each of chroma
  int down = 2;
  bool grey = false;
  bool own_tables = false;  // made for the file, with codes of up to 16 bits
  unsigned restart = 0;     // MCUs
  bool progressive = false;
};

std::string Encode(const Raster& raster, const Kind& kind) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = raster.width;
  info.image_height = raster.height;
  info.input_components = 4;
  info.in_color_space = JCS_EXT_RGBX;
  jpeg_set_defaults(&info);
  if (kind.grey) jpeg_set_colorspace(&info, JCS_GRAYSCALE);
  jpeg_set_quality(&info, kind.quality, TRUE);
  info.comp_info[0].h_samp_factor = kind.across;
  info.comp_info[0].v_samp_factor = kind.down;
  info.optimize_coding = kind.own_tables ? TRUE : FALSE;
  info.restart_interval = kind.restart;
  if (kind.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(raster.row(info.next_scanline));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string out(reinterpret_cast<char*>(bytes), size);
  free(bytes);
  return out;
}

// Decodes by the library, with its own entropy decoding or ours.
struct Reader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  std::jmp_buf failed;
  JpegEntropy entropy;
  std::string_view bytes;
  size_t piece = 0;  // the source's buffer
  bool installed = false;
  std::vector<uint8_t> pixels;

  static Reader& Of(j_decompress_ptr info) { return *static_cast<Reader*>(info->client_data); }
  static void Fail(j_common_ptr info) {
    std::longjmp(static_cast<Reader*>(info->client_data)->failed, 1);
  }
  static void Ignore(j_common_ptr, int) {}
  static boolean Fill(j_decompress_ptr info) {
    Reader& reader = Of(info);
    if (reader.bytes.empty()) std::longjmp(reader.failed, 1);
    const size_t size = std::min(reader.piece, reader.bytes.size());
    reader.source.next_input_byte = reinterpret_cast<const JOCTET*>(reader.bytes.data());
    reader.source.bytes_in_buffer = size;
    reader.bytes.remove_prefix(size);
    return TRUE;
  }
  static void Skip(j_decompress_ptr info, long count) {
    for (; count > 0; --count) {
      if (info->src->bytes_in_buffer == 0) Fill(info);
      ++info->src->next_input_byte;
      --info->src->bytes_in_buffer;
    }
  }
  static boolean Mcu(j_decompress_ptr info, JBLOCKROW* blocks) {
    if (Of(info).entropy.Decode(info, blocks)) return TRUE;
    std::longjmp(Of(info).failed, 1);
  }

  // False for what can't be decoded to its end.
  bool Decode(std::string_view file, unsigned eighths, bool ours, size_t piece_size) {
    bytes = file;
    piece = piece_size;
    info.client_data = this;
    info.err = jpeg_std_error(&errors);
    errors.error_exit = Fail;
    errors.emit_message = Ignore;
    source.init_source = [](j_decompress_ptr) {};
    source.fill_input_buffer = Fill;
    source.skip_input_data = Skip;
    source.resync_to_restart = jpeg_resync_to_restart;
    source.term_source = [](j_decompress_ptr) {};
    const bool whole = Rows(eighths, ours);
    jpeg_destroy_decompress(&info);
    return whole;
  }
  bool Rows(unsigned eighths, bool ours) {
    if (setjmp(failed) != 0) return false;
    jpeg_create_decompress(&info);
    info.client_data = this;
    info.src = &source;
    jpeg_read_header(&info, TRUE);
    info.scale_num = eighths;
    info.scale_denom = 8;
    jpeg_start_decompress(&info);
    if (ours) installed = entropy.Install(&info, Mcu);
    const size_t stride = size_t{info.output_width} * static_cast<size_t>(info.output_components);
    pixels.resize(stride * info.output_height);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = pixels.data() + stride * info.output_scanline;
      jpeg_read_scanlines(&info, &row, 1);
    }
    return true;
  }
};

const Kind kKinds[] = {
    {.name = "4:2:0"},
    {.name = "4:4:4", .across = 1, .down = 1},
    {.name = "4:2:2", .across = 2, .down = 1},
    {.name = "4:4:0", .across = 1, .down = 2},
    {.name = "grey", .across = 1, .down = 1, .grey = true},
    {.name = "coarse", .quality = 15},
    {.name = "finest", .quality = 100},
    {.name = "own tables", .quality = 97, .own_tables = true},
    {.name = "restarts", .restart = 3},
    {.name = "a restart each", .restart = 1},
};

TEST(JpegEntropy, GivesWhatTheLibraryGivesAtEverySize) {
  uint64_t seed = 1;
  for (const Kind& kind : kKinds) {
    for (const auto& [width, height] : {std::pair{333U, 217U}, {16U, 16U}, {1U, 1U}, {640U, 9U}}) {
      const std::string file = Encode(test::Photograph(width, height, seed++), kind);
      for (const unsigned eighths : {1U, 2U, 4U, 8U}) {
        SCOPED_TRACE(kind.name + " at " + std::to_string(eighths) + "/8");
        Reader theirs;
        ASSERT_TRUE(theirs.Decode(file, eighths, false, file.size()));
        // Pieces of the file end anywhere.
        for (const size_t piece : {file.size(), size_t{1}, size_t{7}, size_t{100}}) {
          Reader ours;
          ASSERT_TRUE(ours.Decode(file, eighths, true, piece)) << piece;
          ASSERT_TRUE(ours.installed);
          ASSERT_EQ(ours.pixels, theirs.pixels) << piece;
        }
      }
    }
  }
}

TEST(JpegEntropy, LeavesProgressiveFilesToTheLibrary) {
  const std::string file =
      Encode(test::Photograph(100, 80, 1), {.name = "progressive", .progressive = true});
  Reader theirs;
  Reader ours;
  ASSERT_TRUE(theirs.Decode(file, 1, false, file.size()));
  ASSERT_TRUE(ours.Decode(file, 1, true, file.size()));
  EXPECT_FALSE(ours.installed);
  EXPECT_EQ(ours.pixels, theirs.pixels);
}

TEST(JpegEntropy, RefusesATruncatedScan) {
  const std::string file = Encode(test::Photograph(200, 150, 1), {.name = "4:2:0"});
  for (size_t part = 40; part < 100; part += 5) {
    std::string cut = file.substr(0, file.size() * part / 100);
    Reader without_end;
    EXPECT_FALSE(without_end.Decode(cut, 1, true, cut.size())) << part;
    cut += "\xFF\xD9";
    Reader with_end;
    EXPECT_FALSE(with_end.Decode(cut, 1, true, cut.size())) << part;
  }
}

// Damage that makes no wrong code is decoded, by both to the same; all else is refused.
TEST(JpegEntropy, NeverDisagreesWithTheLibraryAboutDamagedFiles) {
  std::mt19937 random(7);
  int refused = 0;
  for (const Kind& kind : kKinds) {
    const std::string file = Encode(test::Photograph(120, 90, 3), kind);
    for (int round = 0; round < 60; ++round) {
      std::string damaged = file;
      const size_t scan = damaged.find("\xFF\xDA");
      const size_t at = scan + 12 + random() % (damaged.size() - scan - 14);
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
      Reader ours;
      if (!ours.Decode(damaged, 1 + random() % 2, true, 64 + random() % 1000)) {
        ++refused;
        continue;
      }
      Reader theirs;
      ASSERT_TRUE(theirs.Decode(damaged, ours.info.scale_num, false, damaged.size()));
      ASSERT_EQ(ours.pixels, theirs.pixels) << kind.name << " " << round;
    }
  }
  EXPECT_GT(refused, 30);
}

}  // namespace
}  // namespace msearch::media
