#include <algorithm>
#include <array>

#include "base/strings.h"
#include "media/codec.h"

namespace msearch::media {
namespace {

struct Extension {
  std::string_view name;
  MediaType type;
};

constexpr std::array kExtensions = {
    Extension{".jpg", MediaType::kPicture},    Extension{".jpeg", MediaType::kPicture},
    Extension{".jpe", MediaType::kPicture},    Extension{".jfif", MediaType::kPicture},
    Extension{".png", MediaType::kPicture},    Extension{".webp", MediaType::kPicture},
    Extension{".gif", MediaType::kPicture},    Extension{".tif", MediaType::kPicture},
    Extension{".tiff", MediaType::kPicture},   Extension{".bmp", MediaType::kPicture},
    Extension{".dib", MediaType::kPicture},    Extension{".heic", MediaType::kPicture},
    Extension{".heif", MediaType::kPicture},   Extension{".hif", MediaType::kPicture},
    Extension{".avif", MediaType::kPicture},   Extension{".jxl", MediaType::kPicture},
    Extension{".3fr", MediaType::kPicture},    Extension{".arw", MediaType::kPicture},
    Extension{".cr2", MediaType::kPicture},    Extension{".cr3", MediaType::kPicture},
    Extension{".dcr", MediaType::kPicture},    Extension{".dng", MediaType::kPicture},
    Extension{".erf", MediaType::kPicture},    Extension{".fff", MediaType::kPicture},
    Extension{".iiq", MediaType::kPicture},    Extension{".kdc", MediaType::kPicture},
    Extension{".mef", MediaType::kPicture},    Extension{".mos", MediaType::kPicture},
    Extension{".nef", MediaType::kPicture},    Extension{".nrw", MediaType::kPicture},
    Extension{".orf", MediaType::kPicture},    Extension{".pef", MediaType::kPicture},
    Extension{".raf", MediaType::kPicture},    Extension{".rw2", MediaType::kPicture},
    Extension{".rwl", MediaType::kPicture},    Extension{".sr2", MediaType::kPicture},
    Extension{".srf", MediaType::kPicture},    Extension{".srw", MediaType::kPicture},
    Extension{".txt", MediaType::kDocument},   Extension{".text", MediaType::kDocument},
    Extension{".md", MediaType::kDocument},    Extension{".markdown", MediaType::kDocument},
    Extension{".html", MediaType::kDocument},  Extension{".htm", MediaType::kDocument},
    Extension{".xhtml", MediaType::kDocument}, Extension{".csv", MediaType::kDocument},
    Extension{".tsv", MediaType::kDocument},   Extension{".srt", MediaType::kDocument},
    Extension{".vtt", MediaType::kDocument},   Extension{".pdf", MediaType::kDocument},
    Extension{".rtf", MediaType::kDocument},   Extension{".docx", MediaType::kDocument},
    Extension{".odt", MediaType::kDocument},   Extension{".ott", MediaType::kDocument},
    Extension{".pptx", MediaType::kDocument},  Extension{".odp", MediaType::kDocument},
    Extension{".xlsx", MediaType::kDocument},  Extension{".ods", MediaType::kDocument},
    Extension{".epub", MediaType::kDocument},  Extension{".docm", MediaType::kDocument},
    Extension{".dotx", MediaType::kDocument},  Extension{".pptm", MediaType::kDocument},
    Extension{".ppsx", MediaType::kDocument},  Extension{".xlsm", MediaType::kDocument},
    Extension{".otp", MediaType::kDocument},   Extension{".odg", MediaType::kDocument},
    Extension{".ots", MediaType::kDocument},   Extension{".rst", MediaType::kDocument},
    Extension{".tex", MediaType::kDocument},   Extension{".log", MediaType::kDocument},
    Extension{".json", MediaType::kDocument},  Extension{".xml", MediaType::kDocument},
    Extension{".yaml", MediaType::kDocument},  Extension{".yml", MediaType::kDocument},
    Extension{".toml", MediaType::kDocument},  Extension{".ini", MediaType::kDocument},
    Extension{".c", MediaType::kDocument},     Extension{".h", MediaType::kDocument},
    Extension{".cc", MediaType::kDocument},    Extension{".cpp", MediaType::kDocument},
    Extension{".hpp", MediaType::kDocument},   Extension{".cs", MediaType::kDocument},
    Extension{".css", MediaType::kDocument},   Extension{".go", MediaType::kDocument},
    Extension{".java", MediaType::kDocument},  Extension{".js", MediaType::kDocument},
    Extension{".ts", MediaType::kDocument},    Extension{".kt", MediaType::kDocument},
    Extension{".lua", MediaType::kDocument},   Extension{".php", MediaType::kDocument},
    Extension{".pl", MediaType::kDocument},    Extension{".py", MediaType::kDocument},
    Extension{".r", MediaType::kDocument},     Extension{".rb", MediaType::kDocument},
    Extension{".rs", MediaType::kDocument},    Extension{".sh", MediaType::kDocument},
    Extension{".sql", MediaType::kDocument},   Extension{".swift", MediaType::kDocument},
    Extension{".mp4", MediaType::kVideo},      Extension{".m4v", MediaType::kVideo},
    Extension{".mov", MediaType::kVideo},      Extension{".qt", MediaType::kVideo},
    Extension{".mkv", MediaType::kVideo},      Extension{".webm", MediaType::kVideo},
    Extension{".avi", MediaType::kVideo},      Extension{".flv", MediaType::kVideo},
    Extension{".f4v", MediaType::kVideo},      Extension{".wmv", MediaType::kVideo},
    Extension{".asf", MediaType::kVideo},      Extension{".mxf", MediaType::kVideo},
    Extension{".mts", MediaType::kVideo},      Extension{".m2ts", MediaType::kVideo},
    Extension{".mpg", MediaType::kVideo},      Extension{".mpeg", MediaType::kVideo},
    Extension{".vob", MediaType::kVideo},      Extension{".ogv", MediaType::kVideo},
    Extension{".3gp", MediaType::kVideo},      Extension{".3g2", MediaType::kVideo},
    Extension{".mp3", MediaType::kAudio},      Extension{".mp2", MediaType::kAudio},
    Extension{".m4a", MediaType::kAudio},      Extension{".m4b", MediaType::kAudio},
    Extension{".aac", MediaType::kAudio},      Extension{".ac3", MediaType::kAudio},
    Extension{".wav", MediaType::kAudio},      Extension{".w64", MediaType::kAudio},
    Extension{".flac", MediaType::kAudio},     Extension{".ogg", MediaType::kAudio},
    Extension{".oga", MediaType::kAudio},      Extension{".opus", MediaType::kAudio},
    Extension{".aif", MediaType::kAudio},      Extension{".aiff", MediaType::kAudio},
    Extension{".aifc", MediaType::kAudio},     Extension{".wma", MediaType::kAudio},
    Extension{".amr", MediaType::kAudio},      Extension{".au", MediaType::kAudio},
    Extension{".caf", MediaType::kAudio},      Extension{".ape", MediaType::kAudio},
    Extension{".wv", MediaType::kAudio},       Extension{".tta", MediaType::kAudio},
    Extension{".mka", MediaType::kAudio},
};

constexpr std::array kTypeNames = {
    std::pair{MediaType::kPicture, std::string_view("image")},
    std::pair{MediaType::kVideo, std::string_view("video")},
    std::pair{MediaType::kAudio, std::string_view("audio")},
    std::pair{MediaType::kDocument, std::string_view("document")},
};

constexpr std::array kKindNames = {
    std::pair{SegmentKind::kPicture, std::string_view("picture")},
    std::pair{SegmentKind::kShot, std::string_view("shot")},
    std::pair{SegmentKind::kSound, std::string_view("sound")},
    std::pair{SegmentKind::kPassage, std::string_view("passage")},
    std::pair{SegmentKind::kSpeech, std::string_view("speech")},
    std::pair{SegmentKind::kText, std::string_view("text")},
    std::pair{SegmentKind::kHeard, std::string_view("heard")},
};

template <typename Names, typename Value>
std::string_view NameIn(const Names& names, Value value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "";
}

template <typename Names>
auto ValueIn(const Names& names, std::string_view name)
    -> std::optional<std::decay_t<decltype(names[0].first)>> {
  for (const auto& [value, known] : names) {
    if (known == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view TypeName(MediaType type) { return NameIn(kTypeNames, type); }
std::optional<MediaType> TypeFromName(std::string_view name) { return ValueIn(kTypeNames, name); }
std::string_view KindName(SegmentKind kind) { return NameIn(kKindNames, kind); }
std::optional<SegmentKind> KindFromName(std::string_view name) { return ValueIn(kKindNames, name); }

std::optional<MediaType> TypeOfExtension(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return std::nullopt;
  const std::string lower = AsciiLower(name.substr(dot));
  for (const Extension& extension : kExtensions) {
    if (extension.name == lower) return extension.type;
  }
  return std::nullopt;
}

std::vector<std::string> SupportedExtensions() {
  std::vector<std::string> names;
  for (const Extension& extension : kExtensions) names.emplace_back(extension.name);
  return names;
}

}  // namespace msearch::media
