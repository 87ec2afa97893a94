// Three programs, each for one thing: pdfinfo says how many pages there are and whether a password
// is needed, pdftotext gives the text with a form feed after each page, pdftoppm draws a page.

#include "media/pdf.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/legacy_text.h"
#include "base/strings.h"
#include "media/document.h"
#include "media/encode.h"
#include "media/picture.h"
#include "media/tool.h"

namespace msearch::media {
namespace {

// Together below the time that a file has by default.
constexpr unsigned kInfoSecondsMax = 8;
constexpr unsigned kTextSecondsMax = 25;
constexpr unsigned kPageSecondsMax = 10;
constexpr uint64_t kInfoBytesMax = 64 << 10;
constexpr uint32_t kSideMax = 8192;
constexpr size_t kListedPagesMax = 1000;

struct Info {
  uint32_t pages = 0;
  bool first_is_empty = false;  // its first page has no size
  std::string title;
};

// A program that gave up says why.
Error Fault(const ToolOutput& output, const std::string& program) {
  if (output.errors.find("Incorrect password") != std::string::npos) {
    return {Code::kUnsupported, "PDF: encrypted; it needs a password"};
  }
  return {Code::kCorrupt, "PDF: " + (output.errors.empty() ? program + " ended with status " +
                                                                 std::to_string(output.status)
                                                           : output.errors)};
}

Result<Info> ReadInfo(const MediaSource& source) {
  const ToolOutput output =
      TRY(RunTool(source, {"pdfinfo", {"-enc", "UTF-8", "-"}, kInfoBytesMax, kInfoSecondsMax}));
  if (output.status != 0) return Fault(output, "pdfinfo");
  Info info;
  for (std::string_view line : Split(output.out, '\n')) {
    const size_t colon = line.find(':');
    if (colon == line.npos) continue;
    const std::string_view value = Trim(line.substr(colon + 1));
    if (line.starts_with("Title:")) info.title = RepairMisread(SanitizeUtf8(value));
    if (line.starts_with("Pages:")) {
      std::from_chars(value.data(), value.data() + value.size(), info.pages);
    }
    if (line.starts_with("Page size:")) info.first_is_empty = value.starts_with("0 x 0 ");
  }
  if (info.pages == 0) return Error{Code::kCorrupt, "PDF: no pages in it"};
  return info;
}

// One text for each page; fewer when the text's limit came first.
Result<std::vector<std::string>> ReadTexts(const MediaSource& source, uint32_t pages,
                                           uint64_t bytes_max) {
  const ToolOutput output =
      TRY(RunTool(source, {"pdftotext",
                           {"-q", "-enc", "UTF-8", "-l", std::to_string(pages), "-", "-"},
                           bytes_max,
                           kTextSecondsMax}));
  if (!output.complete) {
    return Error{Code::kTooLarge,
                 "PDF: more text than the limit of " + std::to_string(bytes_max) + " bytes"};
  }
  if (output.status != 0) return Fault(output, "pdftotext");
  std::vector<std::string> texts;
  for (std::string_view text : Split(output.out, '\f')) texts.push_back(SanitizeUtf8(text));
  texts.resize(pages);
  return texts;
}

Result<Raster> DrawPage(const MediaSource& source, uint32_t page, uint32_t side_max) {
  const std::string number = std::to_string(page);
  const uint32_t side = std::clamp<uint32_t>(side_max, 1, kSideMax);
  const ToolOutput output = TRY(RunTool(source, {"pdftoppm",
                                                 {"-q", "-f", number, "-l", number, "-singlefile",
                                                  "-scale-to", std::to_string(side), "-"},
                                                 uint64_t{side} * side * 3 + 100,
                                                 kPageSecondsMax}));
  if (output.status != 0) return Fault(output, "pdftoppm");
  return ReadPixmap(output.out);
}

uint32_t SideFor(const PrepareOptions& options) {
  return std::max(
      {options.thumbnail_side_max * 2, options.pixels.width * 2, options.pixels.height * 2});
}

class PdfReader {
 public:
  PdfReader(const MediaSource& source, const PrepareOptions& options)
      : source_(source), options_(options) {}

  Result<Prepared> Read() {
    const Info info = TRY(ReadInfo(source_));
    const uint32_t pages = std::min(info.pages, kPdfPagesMax);
    const std::vector<std::string> texts = TRY(ReadTexts(source_, pages, options_.text_bytes_max));
    out_.type = MediaType::kDocument;
    out_.attributes["pages"] = info.pages;
    if (pages < info.pages) out_.attributes["pages_read"] = pages;
    out_.title = info.title;
    DrawThumbnail();
    Json without_text = Json::array();
    for (uint32_t page = 1; page <= pages; ++page) {
      if (AddPassages(page, texts[page - 1])) continue;
      AddPicture(page);
      if (without_text.size() < kListedPagesMax) without_text.push_back(page);
    }
    if (!without_text.empty()) out_.attributes["pages_without_text"] = std::move(without_text);
    // Neither words nor pictures: whatever it was, nothing could be drawn.
    if (fault_ && out_.thumbnail.empty() && !has_text_) return *fault_;
    if (info.first_is_empty && !has_text_) {
      return Error{Code::kCorrupt, "PDF: its pages are empty and have no size"};
    }
    return std::move(out_);
  }

 private:
  // False for a page without text.
  bool AddPassages(uint32_t page, const std::string& text) {
    bool any = false;
    for (std::string& passage : CutPassages(RepairMisread(text), options_.passage_words_max)) {
      Segment segment = Next(page);
      segment.kind = SegmentKind::kPassage;
      segment.text = std::move(passage);
      if (out_.title.empty()) out_.title = FirstLine(segment.text);
      out_.segments.push_back(std::move(segment));
      any = has_text_ = true;
    }
    return any;
  }

  void AddPicture(uint32_t page) {
    Segment segment = Next(page);
    segment.kind = SegmentKind::kPicture;
    const bool wanted = options_.pixels.width > 0 && options_.pixels.height > 0;
    if (wanted && out_.pixels.size() < kPdfPicturesMax && !fault_) {
      const Result<Raster> raster = Draw(page);
      if (raster.ok()) {
        segment.pixels = static_cast<int32_t>(out_.pixels.size());
        out_.pixels.push_back(PixelsFor(*raster, options_.pixels));
      }
    }
    out_.segments.push_back(std::move(segment));
  }

  void DrawThumbnail() {
    if (options_.thumbnail_side_max == 0) return;
    const Result<Raster> raster = Draw(1);
    if (!raster.ok()) return;
    const Raster small = Reduced(*raster, options_.thumbnail_side_max);
    const auto jpeg = EncodeJpeg(small);
    if (jpeg.ok()) out_.thumbnail = *jpeg;
  }

  // The last page that was drawn is kept: the first is mostly wanted twice. The text is worth more
  // than a picture of it, so a page that can't be drawn is no failure of the file, but the last
  // that is tried.
  Result<Raster> Draw(uint32_t page) {
    if (drawn_page_ == page) return drawn_;
    Result<Raster> raster = DrawPage(source_, page, SideFor(options_));
    if (!raster.ok()) {
      fault_ = raster.error();
      return raster;
    }
    drawn_page_ = page;
    drawn_ = *raster;
    return raster;
  }

  Segment Next(uint32_t page) const {
    Segment segment;
    segment.index = static_cast<uint32_t>(out_.segments.size());
    segment.page = page;
    return segment;
  }

  const MediaSource& source_;
  const PrepareOptions& options_;
  Prepared out_;
  bool has_text_ = false;
  std::optional<Error> fault_;
  uint32_t drawn_page_ = 0;
  Raster drawn_;
};

}  // namespace

Result<Prepared> PreparePdf(const MediaSource& source, const PrepareOptions& options) {
  return PdfReader(source, options).Read();
}

Result<View> ViewPdf(const MediaSource& source, const ViewWanted& wanted) {
  const uint32_t page = wanted.page.value_or(1);
  const Info info = TRY(ReadInfo(source));
  if (page < 1 || page > info.pages) {
    return Error{Code::kNotFound, "page " + std::to_string(page) + ": not there"};
  }
  const Raster raster = Reduced(TRY(DrawPage(source, page, wanted.side_max)), wanted.side_max);
  return View{raster.width, raster.height, ToRgb(raster)};
}

Result<Raster> ReadPixmap(std::string_view bytes) {
  const Error fault{Code::kCorrupt, "pixmap: broken"};
  if (!bytes.starts_with("P6")) return fault;
  size_t at = 2;
  uint32_t figures[3] = {};
  for (uint32_t& figure : figures) {
    while (at < bytes.size() && (bytes[at] == ' ' || bytes[at] == '\n')) ++at;
    const auto [end, error] =
        std::from_chars(bytes.data() + at, bytes.data() + bytes.size(), figure);
    if (error != std::errc()) return fault;
    at = static_cast<size_t>(end - bytes.data());
  }
  const auto [width, height, most] = figures;
  ++at;
  if (width == 0 || height == 0 || width > kSideMax || height > kSideMax || most != 255 ||
      bytes.size() < at || bytes.size() - at < size_t{width} * height * 3) {
    return fault;
  }
  Raster raster(width, height);
  for (size_t i = 0; i < size_t{width} * height; ++i) {
    for (size_t channel = 0; channel < 3; ++channel) {
      raster.rgbx[i * 4 + channel] = static_cast<uint8_t>(bytes[at + i * 3 + channel]);
    }
  }
  return raster;
}

}  // namespace msearch::media
