// Formats of pictures and documents that are read by code of our own, wholly or for a part.

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "media/decoder.h"
#include "media/document.h"
#include "media/exif.h"
#include "media/markup.h"
#include "media/packet_sizes.h"
#include "media/pdf.h"
#include "media/picture.h"
#include "media/sound_print.h"
#include "media/webp.h"
#include "media/wire.h"
#include "support/archives.h"
#include "support/memory_file.h"
#include "support/pictures.h"
#include "support/tiff.h"
#include "targets.h"

namespace msearch::fuzz {
namespace {

constexpr uint64_t kTextBytesMax = 1 << 20;

media::MediaSource SourceOf(const Fd& file, std::string_view bytes, std::string_view name) {
  media::MediaSource source;
  source.fd = file.get();
  source.size = bytes.size();
  source.name = name;
  source.head = bytes.substr(0, media::MediaSource::kHeadBytes);
  return source;
}

void Bmp(std::string_view bytes) {
  const Fd file = test::MemoryFile(bytes);
  media::PictureRequest request;
  request.pixels_max = 1 << 20;
  (void)media::DecodeBmp(SourceOf(file, bytes, "a.bmp"), request);
}

// At an eighth of the size, where most coefficients are stepped over, and at all others.
void Jpeg(std::string_view bytes) {
  for (const uint32_t side : {1U, 100000U}) {
    media::PictureRequest request{.longer_side_min = side, .pixels_max = 1 << 18};
    (void)media::DecodeJpegBytes(bytes, request);
  }
}

void Exif(std::string_view bytes) {
  (void)media::ReadExif(bytes);
  (void)media::ReducedTiffDirectories(bytes);
  (void)media::IsDng(bytes);
}

void Markdown(std::string_view bytes) { (void)media::StripMarkdown(bytes); }

void Html(std::string_view bytes) {
  (void)media::DeclaredEncoding(bytes);
  (void)media::ReadHtml(bytes, kTextBytesMax);
}

void Subtitles(std::string_view bytes) { (void)media::ReadCues(bytes); }

// No letter becomes more than one character, but some of one byte have names.
void Rtf(std::string_view bytes) {
  if (media::ReadRtf(bytes).text.size() > 3 * bytes.size() + 64) std::abort();
}

void Pixmap(std::string_view bytes) { (void)media::ReadPixmap(bytes); }

// The parts of an office document, each by its own reader.
void Office(std::string_view bytes) {
  media::PrepareOptions options;
  options.text_bytes_max = kTextBytesMax;
  const std::string part(bytes);
  for (const char* name : {"word/document.xml", "content.xml", "META-INF/container.xml"}) {
    const std::string archive = test::MakeZip({{name, part}});
    const Fd file = test::MemoryFile(archive);
    (void)media::PrepareArchive(SourceOf(file, archive, "a"), options);
  }
  const std::string sheets =
      test::MakeZip({{"xl/workbook.xml", "<w xmlns:r='r'><sheet name='a' r:id='1'/></w>"},
                     {"xl/_rels/workbook.xml.rels", "<r><Relationship Id='1' Target='s.xml'/></r>"},
                     {"xl/sharedStrings.xml", part},
                     {"xl/s.xml", part}});
  const Fd file = test::MemoryFile(sheets);
  (void)media::PrepareArchive(SourceOf(file, sheets, "a"), options);
}

void Archive(std::string_view bytes) {
  media::PrepareOptions options;
  options.text_bytes_max = kTextBytesMax;
  const Fd file = test::MemoryFile(bytes);
  (void)media::PrepareArchive(SourceOf(file, bytes, "a"), options);
}

Frame FrameOf(const Json& head, std::vector<std::string> parts) {
  Frame frame;
  frame.head = head;
  frame.parts = std::move(parts);
  return frame;
}

// What a codec child that was taken over may answer.
void CodecAnswer(std::string_view bytes) {
  const Result<Json> head = FromCbor(std::string(bytes));
  if (!head.ok()) return;
  const std::string part(bytes.substr(0, 48));
  (void)media::ViewFromFrame(FrameOf(*head, {part}), {.side_max = 4});
  (void)media::SamplesFromFrame(FrameOf(*head, {part}), {.seconds = 1, .rate = 8000});
  const auto clip = media::ClipFromFrame(FrameOf(*head, {part}), {.start = 1, .end = 2});
  if (clip.ok() && !(clip->start >= 0 && clip->start <= 2)) std::abort();
  media::PrepareOptions options;
  options.pixels = {4, 4, media::PixelsWanted::Fit::kStretch};
  const auto prepared = media::PreparedFromFrame(FrameOf(*head, {"", "", "", part}), options);
  if (prepared.ok()) (void)ToCbor(prepared->Head());
}

// What a parent asks is believed no more.
void CodecQuestion(std::string_view bytes) {
  const Result<Json> head = FromCbor(std::string(bytes));
  if (!head.ok()) return;
  const auto request = media::RequestFromJson(*head);
  if (request.ok()) (void)ToCbor(media::ToJson(*request));
}

void SoundPrints(std::string_view bytes) {
  const auto print = media::SoundPrint::Decode(bytes);
  if (print.ok() && media::SoundPrint::Decode(print->Encode())->windows != print->windows) {
    // Numbers that are none differ from themselves.
    for (const auto& window : print->windows) {
      for (const float value : window) {
        if (value != value) return;
      }
    }
    std::abort();
  }
}

// The kind of a file by its first bytes, and by its name.
void FileKind(std::string_view bytes) {
  const std::string_view name = bytes.substr(0, std::min<size_t>(bytes.size(), 8));
  (void)media::FindDecoder(bytes.substr(0, media::MediaSource::kHeadBytes), "a");
  (void)media::FindDecoder(bytes.substr(name.size()), name);
}

// What is left is no longer, and as whole as can be.
void WebpEnd(std::string_view bytes) {
  std::string file(bytes);
  media::DropBrokenEnd(&file);
  if (file.size() > bytes.size()) std::abort();
  const std::string once = file;
  media::DropBrokenEnd(&file);
  if (file != once) std::abort();
}

std::vector<std::string> Bmps() {
  const media::Raster raster = test::Quarters(12, 9);
  return {test::MakeBmp(raster, 8), test::MakeBmp(raster, 24), test::MakeBmp(raster, 32)};
}
std::vector<std::string> Exifs() {
  const test::ExifTags tags{.orientation = 6,
                            .make = "Canon",
                            .model = "R5",
                            .date_time_original = "2026:01:31 12:00:00",
                            .offset_time_original = "+02:00",
                            .gps = std::pair{1.5, 2.5}};
  return {test::MakeExif(tags), test::MakeExif(tags, true),
          test::MakeTiff({{test::Quarters(4, 4)}, {test::Quarters(4, 4)}})};
}
std::vector<std::string> Markdowns() {
  return {
      "---\ntitle: \"T\"\n---\n# Head\n\n*a* __b__ `c` [d](e) ![f][g] <b>h</b>\n\n| i | j |\n"
      "|---|---|\n> - 1. k\n```\ncode\n```\n<!-- l -->\nm\n==="};
}
std::vector<std::string> Htmls() {
  return {
      "<!doctype html><meta charset=utf-8><title>t</title><h1>a</h1><p>b<br>c<pre> d </pre>"
      "<table><tr><td>e<td>f</table><script>g</script><img alt=h>&amp;&#22270;"};
}
std::vector<std::string> SubtitleFiles() {
  return {"1\n00:00:01,500 --> 00:00:03,000\n<i>a</i>\n\n2\n00:00:04,000 --> 00:00:05,000\nb\n",
          "WEBVTT\n\n00:01.000 --> 00:02.000 align:start\n{\\an8}c\n"};
}
std::vector<std::string> RtfFiles() {
  return {
      "{\\rtf1\\ansi\\ansicpg936{\\fonttbl{\\f1\\fcharset134 a;}}{\\info{\\title b}}\\f1\\'d0\\'dc"
      "\\u28857?\\par{\\*\\c d}{\\pict 00}\\uc2\\u-1 ab\\bin2 {}}"};
}
std::vector<std::string> Jpegs() {
  return {test::Encoded(test::Quarters(40, 24), "jpg"),
          test::Encoded(test::Photograph(70, 50, 1), "jpg")};
}
std::vector<std::string> Pixmaps() { return {std::string("P6\n2 1\n255\n\1\2\3\4\5\6", 17)}; }
std::vector<std::string> OfficeParts() {
  return {"<w:d xmlns:w='w'><w:p><w:r><w:t>a</w:t><w:br w:type='page'/><w:tab/></w:r></w:p></w:d>",
          "<o:d xmlns:o='o' xmlns:t='t'><o:body><t:h>a</t:h><t:p>b<t:s/>c</t:p></o:body></o:d>",
          "<sst><si><t>a</t></si><row><c t='s'><v>0</v></c><c><v>1.5</v></c></row></sst>"};
}
std::vector<std::string> Archives() {
  return {test::MakeDocx({"a"}), test::MakePptx({"a", "b"}), test::MakeXlsx({{"s", {"a"}}}),
          test::MakeOdt({"a"}), test::MakeEpub({"a"})};
}
std::vector<std::string> CodecQuestions() {
  std::vector<std::string> questions;
  for (const media::Wanted& wanted :
       {media::Wanted(media::PrepareOptions{}), media::Wanted(media::ViewWanted{.page = 2}),
        media::Wanted(media::SamplesWanted{}), media::Wanted(media::ClipWanted{})}) {
    questions.push_back(ToCbor(media::ToJson(media::CodecRequest{"a", wanted, false})));
  }
  return questions;
}
std::vector<std::string> SoundPrintBytes() {
  media::SoundPrint print;
  print.fingerprint = {1, 2, 3};
  print.windows = {std::vector<float>(media::SoundPrint::kDimensions, 0.5F)};
  return {print.Encode()};
}
std::vector<std::string> FileHeads() {
  return {std::string("\0\0\0\x18"
                      "ftypavif\0\0\0\0mif1avif",
                      24),
          "RIFF....WEBPVP8X", "BM", std::string("\x89PNG\r\n\x1A\n"), ".md\0\0\0\0\0# Head"};
}
std::vector<std::string> WebpFiles() {
  return {std::string("RIFF\x18\0\0\0WEBPabcd\x03\0\0\0xyz\0efgh\0\0\0\0", 32),
          std::string("RIFF\x18\0\0\0WEBPabcd\x03\0\0\0xyz\0efgh\0\0", 30)};
}
std::vector<std::string> CodecAnswers() {
  media::Prepared prepared;
  prepared.mime = "image/jpeg";
  prepared.gps = {1, 2};
  prepared.attributes = {{"pages", 2}};
  prepared.segments = {{.index = 0, .text = "a", .start_time = 1, .page = 2, .pixels = 0}};
  return {ToCbor(prepared.Head())};
}

// Seven bytes a packet: how its time differs from the one before in hundredths of a second, its
// size, and whether it is a key frame. What a file says of its packets may be anything.
void Packets(std::string_view bytes) {
  media::PacketSizes sizes;
  double time = 0;
  std::vector<double> keys;
  for (; bytes.size() >= 7; bytes.remove_prefix(7)) {
    int16_t step;
    uint32_t size;
    std::memcpy(&step, bytes.data(), sizeof step);
    std::memcpy(&size, bytes.data() + 2, sizeof size);
    time += step / 100.0;
    sizes.Add(time, size, (bytes[6] & 1) != 0);
    if ((bytes[6] & 1) != 0) keys.push_back(time);
  }
  keys.push_back(time + 1);
  for (size_t i = 1; i < std::min<size_t>(keys.size(), 20); ++i) {
    if (sizes.SpikesBetween(keys[i - 1], keys[i], 12).times.size() > 12) std::abort();
    if (sizes.HintsBetween(keys[i - 1], keys[i], 12).size() > 12) std::abort();
    if (sizes.KeysBetween(keys[i - 1], keys[i], 12).size() > 12) std::abort();
    (void)sizes.NewPictureBetween(keys[i - 1], keys[i]);
    (void)sizes.LargeBetween(keys[i - 1], keys[i]);
    (void)sizes.ShowsNewPictures(keys[i - 1], keys[i]);
    (void)sizes.SpentLittleBetween(keys[i - 1], keys[i]);
    (void)sizes.HumpBetween(keys[i - 1], keys[i]);
  }
}
std::vector<std::string> PacketLists() {
  std::string film;
  for (int i = 0; i < 200; ++i) {
    const int16_t step = i % 4 == 0 ? 16 : -4;
    const uint32_t size = i % 100 == 0 ? 40000 : i % 4 == 0 ? 8000 : 900;
    film.append(reinterpret_cast<const char*>(&step), sizeof step);
    film.append(reinterpret_cast<const char*>(&size), sizeof size);
    film += static_cast<char>(i % 100 == 0);
  }
  return {film};
}

}  // namespace

std::vector<Target> MediaTargets() {
  return {{"bmp", Bmp, Bmps},
          {"jpeg", Jpeg, Jpegs},
          {"exif", Exif, Exifs},
          {"markdown", Markdown, Markdowns},
          {"html", Html, Htmls},
          {"subtitles", Subtitles, SubtitleFiles},
          {"rtf", Rtf, RtfFiles},
          {"pixmap", Pixmap, Pixmaps},
          {"office", Office, OfficeParts},
          {"archive", Archive, Archives},
          {"codec_answer", CodecAnswer, CodecAnswers},
          {"codec_question", CodecQuestion, CodecQuestions},
          {"sound_print", SoundPrints, SoundPrintBytes},
          {"file_kind", FileKind, FileHeads},
          {"webp_end", WebpEnd, WebpFiles},
          {"packet_sizes", Packets, PacketLists}};
}

}  // namespace msearch::fuzz
