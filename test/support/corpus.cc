#include "support/corpus.h"

#include <random>

#include "media/encode.h"
#include "support/archives.h"
#include "support/pdf.h"
#include "support/pictures.h"
#include "support/tiff.h"

namespace msearch::test {
namespace {

std::string Utf16(std::u16string_view text, bool mark) {
  std::string bytes = mark ? "\xFF\xFE" : "";
  for (char16_t unit : text) {
    bytes += static_cast<char>(unit);
    bytes += static_cast<char>(unit >> 8);
  }
  return bytes;
}

// Whatever was put into a format once, in the order of their extensions.
std::vector<CorpusFile> Pictures() {
  std::vector<CorpusFile> files;
  uint64_t seed = 100;
  auto add = [&](const std::string& path, const std::string& bytes) {
    files.push_back({.path = path, .bytes = bytes, .picture = true});
  };
  for (const char* format : {"jpg", "png", "webp", "gif", "tif", "bmp", "heic", "avif", "jxl"}) {
    add(std::string("pictures/photograph.") + format,
        Encoded(Photograph(240, 160, seed++), format));
  }
  media::JpegOptions jpeg;
  jpeg.progressive = true;
  add("pictures/progressive.jpg", *media::EncodeJpeg(Photograph(240, 160, seed++), jpeg));
  jpeg = {.layout = media::JpegOptions::Layout::kCmyk};
  add("pictures/print.jpg", *media::EncodeJpeg(Photograph(240, 160, seed++), jpeg));
  const std::string exif = MakeExif({.orientation = 6});
  add("pictures/turned.jpg", Encoded(Photograph(240, 160, seed++), "jpg", exif));
  add("pictures/pages.tif",
      MakeTiff({{Photograph(240, 160, seed++)}, {Photograph(160, 240, seed++)}}));
  add("pictures/raw.dng", MakeDng(Photograph(240, 160, seed++)));
  add("pictures/named wrongly.txt.png", Encoded(Photograph(240, 160, seed++), "jpg"));
  return files;
}

std::vector<CorpusFile> Documents() {
  using namespace std::literals;
  const PdfPage scan{"", *media::EncodeJpeg(Photograph(200, 200, 7)), 200, 200};
  return {
      {.path = "documents/letter.docx",
       .bytes = MakeDocx({"A quetzal by the river"}),
       .words = "quetzal"},
      {.path = "documents/letter.odt",
       .bytes = MakeOdt({"A capybara by the river"}),
       .words = "capybara"},
      {.path = "documents/talk.pptx",
       .bytes = MakePptx({"Intro", "The okapi slide"}),
       .words = "okapi"},
      {.path = "documents/talk.odp",
       .bytes = MakeOdp({"Intro", "The tapir slide"}),
       .words = "tapir"},
      {.path = "documents/sums.xlsx",
       .bytes = MakeXlsx({{"Costs", {"pangolin"}}}),
       .words = "pangolin"},
      {.path = "documents/sums.ods",
       .bytes = MakeOds({{"Costs", {"axolotl"}}}),
       .words = "axolotl"},
      {.path = "documents/book.epub",
       .bytes = MakeEpub({"One", "A narwhal sings"}),
       .words = "narwhal"},
      {.path = "documents/paper.pdf",
       .bytes = MakePdf({{"About an ibex"}, {"穿山甲在山里"}}),
       .words = "穿山甲"},
      {.path = "documents/mixed.pdf",
       .bytes = MakePdf({{"A wombat, and a scan"}, scan}),
       .words = "wombat"},
      {.path = "documents/page.html",
       .bytes = "<!doctype html><p>A <b>kooka</b>burra laughs",
       .words = "kookaburra"},
      {.path = "documents/notes.md", .bytes = "# Notes\n\nA **lemur** jumps\n", .words = "lemur"},
      {.path = "documents/table.csv", .bytes = "animal,count\ndugong,3\n", .words = "dugong"},
      {.path = "documents/film.srt",
       .bytes = "1\n00:00:01,000 --> 00:00:02,000\nHello aardvark\n",
       .words = "aardvark"},
      {.path = "documents/film.vtt",
       .bytes = "WEBVTT\n\n00:01.000 --> 00:02.000\nHello meerkat\n",
       .words = "meerkat"},
      {.path = "texts/utf8.txt", .bytes = "池塘里有一只青蛙在唱歌。", .words = "青蛙"},
      {.path = "texts/misread.txt", .bytes = "æ£®æž—åœ¨å±±è¾¹", .words = "森林"},
      {.path = "texts/gb18030.txt",
       .bytes = "\xCE\xD2\xC3\xC7\xD4\xDA\xCD\xBC\xCA\xE9\xB9\xDD\xA3\xAC\xB9\xDB\xBF\xB4\xC3\xA8"
                "\xB5\xC4\xD5\xD5\xC6\xAC\xA1\xA3",
       .words = "图书馆"},
      {.path = "texts/big5.txt",
       .bytes = "\xA7\xDA\xAD\xCC\xA6\xB3\xA4\x40\xB0\xA6\xBF\xDF\xA1\x41\xA5\xA6\xAA\xBA\xA6\x57"
                "\xA6\x72\xA5\x73\xA4\x70\xA5\xD5\xA1\x43\xA7\xDA\xAD\xCC\xB3\xA3\xB3\xDF\xC5\x77"
                "\xA5\xA6\xA1\x43",
       .words = "小白"},
      {.path = "texts/shift-jis.txt",
       .bytes = "\x82\xB1\x82\xEA\x82\xCD\x94\x4C\x82\xCC\x8E\xCA\x90\x5E\x82\xC5\x82\xB7\x81\x42",
       .words = "写真"},
      {.path = "texts/utf16 with mark.txt",
       .bytes = Utf16(u"今天的大熊猫很高兴。", true),
       .words = "大熊猫"},
      {.path = "texts/utf16 without mark.txt",
       .bytes = Utf16(u"昨天我们在山上看见了一只雪豹，它很快就跑到森林里去了。", false),
       .words = "雪豹"},
  };
}

// Headers that claim what the file doesn't have, and small files that unpack to large ones.
std::vector<CorpusFile> Bombs() {
  using namespace std::literals;
  std::vector<CorpusFile> files;
  auto add = [&](const std::string& path, const std::string& bytes) {
    files.push_back({.path = "bombs/" + path, .bytes = bytes, .bad = true});
  };
  add("pixels.png", MakePngHeader(100000, 100000));
  std::string bmp = MakeBmp(Flat(4, 4, {1, 2, 3}), 24);
  bmp.replace(18, 8, "\xA0\x86\x01\0\xA0\x86\x01\0"s);
  add("pixels.bmp", bmp);
  add("unpacks.docx", MakeZipBomb("word/document.xml", "<d><p><t>", 200 << 20, "</t></p></d>"));
  std::string entities = "<!DOCTYPE d [<!ENTITY a0 \"lol\">";
  for (int i = 1; i < 10; ++i) {
    entities += "<!ENTITY a" + std::to_string(i) + " \"";
    for (int k = 0; k < 10; ++k) entities += "&a" + std::to_string(i - 1) + ";";
    entities += "\">";
  }
  add("entities.docx", MakeZip({{"word/document.xml", entities + "]><d><p><t>&a9;</t></p></d>"}}));
  std::string nested = "a";
  for (int i = 0; i < 20; ++i) nested = MakeZip({{"inner.zip", nested, true}});
  add("nested.docx", nested);
  std::string deep = "<d>";
  for (int i = 0; i < 100000; ++i) deep += "<p>";
  add("deep.docx", MakeZip({{"word/document.xml", deep, true}}));
  // A second of silence that claims to last for hours; it is kept for what there is of it.
  files.push_back({.path = "bombs/endless.wav",
                   .bytes = "RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0\1\0\1\0\x40\x1F\0\0\x80\x3E\0\0"
                            "\2\0\x10\0data\xF0\xFF\xFF\xFF"s +
                            std::string(16000, '\0')});
  // A page tree that is its own child.
  add("loop.pdf",
      "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
      "2 0 obj\n<< /Type /Pages /Kids [2 0 R] /Count 1 >>\nendobj\n"
      "trailer\n<< /Root 1 0 R >>\n");
  return files;
}

std::vector<CorpusFile> Broken(const std::vector<CorpusFile>& good, const CorpusOptions& options) {
  using namespace std::literals;
  std::vector<CorpusFile> files;
  auto name = [](const CorpusFile& file) { return file.path.substr(file.path.rfind('/') + 1); };
  for (const CorpusFile& file : good) {
    if (file.path.starts_with("texts/")) continue;  // a part of a text is a text
    for (size_t tenth = 1; tenth < 10; ++tenth) {
      files.push_back({.path = "truncated/" + std::to_string(tenth * 10) + " percent " + name(file),
                       .bytes = file.bytes.substr(0, file.bytes.size() * tenth / 10)});
    }
    files.push_back({.path = "empty/" + name(file), .bytes = "", .bad = true});
  }
  std::mt19937_64 random(options.seed);
  for (int i = 0; i < options.flips; ++i) {
    const CorpusFile& file = good[static_cast<size_t>(i) % good.size()];
    std::string bytes = file.bytes;
    for (uint64_t flip = 1 + random() % 4; flip > 0; --flip) {
      // Half of them near the beginning, where the figures are that decoders trust.
      const size_t range = random() % 2 == 0 ? std::min<size_t>(bytes.size(), 200) : bytes.size();
      bytes[random() % range] ^= static_cast<char>(1 << random() % 8);
    }
    files.push_back(
        {.path = "flipped/" + std::to_string(i) + " " + name(file), .bytes = std::move(bytes)});
  }
  files.push_back({.path = "wrong/zeros.jpg", .bytes = std::string(5000, '\0'), .bad = true});
  files.push_back({.path = "wrong/zeros.pdf", .bytes = std::string(5000, '\0'), .bad = true});
  files.push_back({.path = "wrong/text.png", .bytes = "no picture at all", .bad = true});
  files.push_back({.path = "wrong/locked.pdf",
                   .bytes = MakePdf({{"secret"}}, {.needs_password = true}),
                   .bad = true});
  files.push_back({.path = "wrong/old.docx",
                   .bytes = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 a document of 1997",
                   .bad = true});
  return files;
}

}  // namespace

std::vector<CorpusFile> MakeCorpus(const CorpusOptions& options) {
  std::vector<CorpusFile> files = Pictures();
  for (CorpusFile& file : Documents()) files.push_back(std::move(file));
  for (const CorpusFile& file : options.more) files.push_back(file);
  std::vector<CorpusFile> broken = Broken(files, options);
  for (CorpusFile& file : Bombs()) broken.push_back(std::move(file));
  for (CorpusFile& file : broken) files.push_back(std::move(file));
  return files;
}

}  // namespace msearch::test
