#include "media/format.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/child.h"
#include "base/strings.h"
#include "media/codec.h"
#include "media/decoder.h"
#include "media/ffmpeg_library.h"
#include "media/heif_library.h"
#include "media/jxl_library.h"
#include "media/raw_library.h"
#include "media/source.h"
#include "media/vips_library.h"
#include "media/wire.h"
#include "media/xml_library.h"
#include "media/zip_library.h"

namespace msearch::media {
namespace {

constexpr Milliseconds kAnswerTimeout{30000};

bool HasPoppler() {
  return std::ranges::all_of(std::array{"pdfinfo", "pdftotext", "pdftoppm"}, [](const char* name) {
    return access((std::string("/usr/bin/") + name).c_str(), X_OK) == 0;
  });
}

struct Row {
  Format format;
  bool (*installed)();
};
constexpr std::array kRows = {
    Row{{"picture", "PNG, WebP, GIF and TIFF pictures", "libvips42"}, [] { return Vips().ok(); }},
    Row{{"heif", "HEIC and AVIF pictures", "libheif1"}, [] { return Heif().ok(); }},
    Row{{"jxl", "JPEG XL pictures", "libjxl0.7"}, [] { return Jxl().ok(); }},
    Row{{"raw", "raw files of cameras", "libraw20"}, [] { return Raw().ok(); }},
    Row{{"film", "videos and sounds", "libavformat59, libswscale6 and libswresample4"},
        [] { return Ffmpeg().ok(); }},
    Row{{"pdf", "PDF documents", "poppler-utils"}, HasPoppler},
    Row{{"office", "office documents, books and web pages", "libzip4 and libxml2"},
        [] { return Zip().ok() && Xml().ok(); }},
};

constexpr auto kFormats = [] {
  std::array<Format, kRows.size()> formats;
  for (size_t i = 0; i < kRows.size(); ++i) formats[i] = kRows[i].format;
  return formats;
}();

struct Ending {
  std::string_view format;
  std::string_view extensions;  // between spaces
};
// Of pictures and documents; of other media the type says it.
constexpr std::array kEndings = {
    Ending{"", " .jpg .jpeg .jpe .jfif .bmp .dib "},
    Ending{"picture", " .png .webp .gif .tif .tiff "},
    Ending{"heif", " .heic .heif .hif .avif "},
    Ending{"jxl", " .jxl "},
    Ending{"pdf", " .pdf "},
    Ending{"office",
           " .html .htm .xhtml .docx .odt .ott .pptx .odp .xlsx .ods .epub .docm .dotx .pptm "
           ".ppsx .xlsm .otp .odg .ots "},
};

}  // namespace

std::span<const Format> Formats() { return kFormats; }

const Format* FindFormat(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name, &Format::name);
  return found == kFormats.end() ? nullptr : &*found;
}

std::string_view FormatOfName(std::string_view path) {
  const auto type = TypeOfExtension(path);
  if (!type) return "";
  if (*type == MediaType::kVideo || *type == MediaType::kAudio) return "film";
  const std::string ending = " " + AsciiLower(path.substr(path.rfind('.'))) + " ";
  for (const Ending& row : kEndings) {
    if (row.extensions.find(ending) != std::string_view::npos) return row.format;
  }
  // The other pictures are those of cameras, the other documents text.
  return *type == MediaType::kPicture ? "raw" : "";
}

std::string_view FormatOfMime(std::string_view mime) {
  if (mime.empty() || mime == "image/jpeg" || mime == "image/bmp") return "";
  if (mime == "image/avif" || mime == "image/heic") return "heif";
  if (mime == "image/jxl") return "jxl";
  if (mime == "image/x-dcraw") return "raw";
  if (mime.starts_with("image/")) return "picture";
  if (mime.starts_with("video/") || mime.starts_with("audio/") || mime == "application/mxf") {
    return "film";
  }
  if (mime == "application/pdf") return "pdf";
  const bool text = mime.starts_with("text/") && mime != "text/html";
  return text || mime == "application/json" || mime == "application/x-subrip" ||
                 mime == "application/rtf"
             ? ""
             : "office";
}

std::string_view FormatOf(const Fd& file, std::string_view name) {
  std::string head(MediaSource::kHeadBytes, '\0');
  const Result<size_t> size = ReadAt(file.get(), 0, head.data(), head.size());
  if (!size.ok()) return "";
  const Decoder* decoder = FindDecoder(std::string_view(head).substr(0, *size), name);
  return decoder == nullptr || decoder->prepare == nullptr ? "" : FormatOfMime(decoder->mime);
}

std::vector<std::string> FindInstalledFormats() {
  std::vector<std::string> names;
  for (const Row& row : kRows) {
    if (row.installed()) names.emplace_back(row.format.name);
  }
  return names;
}

Result<std::vector<std::string>> InstalledFormats(std::vector<std::string> child_arguments) {
  ChildOptions options;
  options.arguments = std::move(child_arguments);
  options.name = "codec child";
  Child child(std::move(options));
  Frame request;
  request.head = FormatsRequest();
  const Frame answer = TRY(child.Call(request, kAnswerTimeout));
  std::vector<std::string> names;
  for (const Json& name : answer.head.value("formats", Json::array())) {
    if (name.is_string()) names.push_back(name.get<std::string>());
  }
  return names;
}

}  // namespace msearch::media
