// A directory (IFD) is a count and entries of 12 bytes: tag, type, count, and the value itself when
// it fits in 4 bytes, else its offset from the structure's beginning. Three are read: the first
// one, and those for the photograph and for the position, which it points to. Every offset is
// checked against the bytes there are; nothing is followed twice, so there are no loops.

#include "media/exif.h"

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/strings.h"

namespace msearch::media {
namespace {

enum Tag : uint16_t {
  kNewSubfileType = 0x00FE,
  kMake = 0x010F,
  kModel = 0x0110,
  kOrientation = 0x0112,
  kDateTime = 0x0132,
  kExifDirectory = 0x8769,
  kGpsDirectory = 0x8825,
  kDateTimeOriginal = 0x9003,
  kDateTimeDigitized = 0x9004,
  kOffsetTime = 0x9010,
  kOffsetTimeOriginal = 0x9011,
  kOffsetTimeDigitized = 0x9012,
  kSubSecTimeOriginal = 0x9291,
  kDngVersion = 0xC612,
  kLatitudeRef = 1,
  kLatitude = 2,
  kLongitudeRef = 3,
  kLongitude = 4,
};

constexpr size_t kEntryBytes = 12;
constexpr size_t kEntriesMax = 1000;
constexpr size_t kTextMax = 256;
constexpr size_t kDirectoriesMax = 10000;  // also what ends a loop of them

class Tiff {
 public:
  explicit Tiff(std::string_view bytes) : bytes_(bytes) {
    if (bytes_.starts_with(std::string_view("Exif\0\0", 6))) bytes_.remove_prefix(6);
    big_ = bytes_.starts_with("MM");
    valid_ = bytes_.size() >= 8 && (big_ || bytes_.starts_with("II")) && U16(2) == 42;
  }

  bool valid() const { return valid_; }
  uint64_t first() const { return U32(4); }

  // Where the entry of this tag lies in the directory at `directory`.
  std::optional<uint64_t> Find(uint64_t directory, uint16_t tag) const {
    if (directory == 0 || directory + 2 > bytes_.size()) return std::nullopt;
    const size_t count = std::min<size_t>(U16(directory), kEntriesMax);
    for (size_t i = 0; i < count; ++i) {
      const uint64_t entry = directory + 2 + i * kEntryBytes;
      if (entry + kEntryBytes > bytes_.size()) return std::nullopt;
      if (U16(entry) == tag) return entry;
    }
    return std::nullopt;
  }

  // Where the directory after this one lies; 0 after the last.
  std::optional<uint64_t> Next(uint64_t directory) const {
    if (directory + 2 > bytes_.size()) return std::nullopt;
    const uint64_t end = directory + 2 + U16(directory) * uint64_t{kEntryBytes};
    if (end + 4 > bytes_.size()) return std::nullopt;
    return U32(end);
  }

  std::optional<uint32_t> Number(uint64_t directory, uint16_t tag) const {
    const auto entry = Find(directory, tag);
    if (!entry || U32(*entry + 4) == 0) return std::nullopt;
    if (U16(*entry + 2) == 3) return U16(*entry + 8);
    if (U16(*entry + 2) == 4) return U32(*entry + 8);
    return std::nullopt;
  }

  std::string Text(uint64_t directory, uint16_t tag) const {
    const auto entry = Find(directory, tag);
    if (!entry || U16(*entry + 2) != 2) return "";
    const uint64_t size = U32(*entry + 4);
    const uint64_t at = size <= 4 ? *entry + 8 : U32(*entry + 8);
    if (at >= bytes_.size()) return "";
    std::string_view text = bytes_.substr(at, std::min<uint64_t>(size, kTextMax));
    text = text.substr(0, text.find('\0'));
    return SanitizeUtf8(Trim(text));
  }

  // Degrees, minutes and seconds as three fractions.
  std::optional<double> Degrees(uint64_t directory, uint16_t tag) const {
    const auto entry = Find(directory, tag);
    if (!entry || U16(*entry + 2) != 5 || U32(*entry + 4) < 3) return std::nullopt;
    const uint64_t at = U32(*entry + 8);
    if (at + 24 > bytes_.size()) return std::nullopt;
    double degrees = 0;
    double unit = 1;
    for (int i = 0; i < 3; ++i, unit *= 60) {
      const uint32_t divisor = U32(at + i * 8 + 4);
      const uint32_t dividend = U32(at + i * 8);
      if (divisor == 0 && i < 2) return std::nullopt;  // no fix yet when it was taken
      if (divisor != 0) degrees += static_cast<double>(dividend) / divisor / unit;
    }
    return degrees;
  }

 private:
  uint8_t Byte(uint64_t at) const {
    return at < bytes_.size() ? static_cast<uint8_t>(bytes_[at]) : 0;
  }
  uint16_t U16(uint64_t at) const {
    const uint16_t low = Byte(at + (big_ ? 1 : 0));
    const uint16_t high = Byte(at + (big_ ? 0 : 1));
    return static_cast<uint16_t>(high << 8 | low);
  }
  uint32_t U32(uint64_t at) const {
    const uint32_t low = U16(at + (big_ ? 2 : 0));
    const uint32_t high = U16(at + (big_ ? 0 : 2));
    return high << 16 | low;
  }

  std::string_view bytes_;
  bool big_ = false;
  bool valid_ = false;
};

std::optional<int> Digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  for (char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

// "2026:01:31 12:00:00"; cameras without a set clock write zeros or blanks.
std::optional<UnixMs> ParseTime(std::string_view text) {
  const auto year = Digits(text, 0, 4);
  const auto month = Digits(text, 5, 2);
  const auto day = Digits(text, 8, 2);
  const auto hour = Digits(text, 11, 2);
  const auto minute = Digits(text, 14, 2);
  const auto second = Digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (*year < 1800 || *month < 1 || *month > 12 || *day < 1 || *day > 31 || *hour > 23 ||
      *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  tm parts{};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *second;
  return UnixMs{timegm(&parts)} * 1000;
}

// "+02:00" as milliseconds to take off.
UnixMs ParseOffset(std::string_view text) {
  const auto hours = Digits(text, 1, 2);
  const auto minutes = Digits(text, 4, 2);
  if (!hours || !minutes || *hours > 14 || (text[0] != '+' && text[0] != '-')) return 0;
  const UnixMs offset = (*hours * 60 + *minutes) * UnixMs{60000};
  return text[0] == '-' ? -offset : offset;
}

std::optional<UnixMs> CapturedAt(const Tiff& tiff, uint64_t first, uint64_t photo) {
  if (auto time = ParseTime(tiff.Text(photo, kDateTimeOriginal))) {
    std::string fraction = tiff.Text(photo, kSubSecTimeOriginal).substr(0, 3);
    fraction.resize(3, '0');
    return *time - ParseOffset(tiff.Text(photo, kOffsetTimeOriginal)) +
           Digits(fraction, 0, 3).value_or(0);
  }
  if (auto time = ParseTime(tiff.Text(photo, kDateTimeDigitized))) {
    return *time - ParseOffset(tiff.Text(photo, kOffsetTimeDigitized));
  }
  if (auto time = ParseTime(tiff.Text(first, kDateTime))) {
    return *time - ParseOffset(tiff.Text(photo, kOffsetTime));
  }
  return std::nullopt;
}

// "Canon" and "Canon EOS R5" give "Canon EOS R5"; "NIKON CORPORATION" and "NIKON D90", "NIKON D90".
std::string Camera(const std::string& make, const std::string& model) {
  if (make.empty() || model.empty()) return make + model;
  const std::string first_word = AsciiLower(make.substr(0, make.find(' ')));
  if (AsciiLower(model).starts_with(first_word)) return model;
  return make + " " + model;
}

std::optional<std::pair<double, double>> Position(const Tiff& tiff, uint64_t directory) {
  auto latitude = tiff.Degrees(directory, kLatitude);
  auto longitude = tiff.Degrees(directory, kLongitude);
  if (!latitude || !longitude || *latitude > 90 || *longitude > 180) return std::nullopt;
  if (tiff.Text(directory, kLatitudeRef) == "S") *latitude = -*latitude;
  if (tiff.Text(directory, kLongitudeRef) == "W") *longitude = -*longitude;
  return std::pair{*latitude, *longitude};
}

}  // namespace

ExifFacts ReadExif(std::string_view bytes) {
  ExifFacts facts;
  const Tiff tiff(bytes);
  if (!tiff.valid()) return facts;
  const uint64_t first = tiff.first();
  const uint64_t photo = tiff.Number(first, kExifDirectory).value_or(0);
  const uint32_t orientation = tiff.Number(first, kOrientation).value_or(1);
  if (orientation >= 1 && orientation <= 8) facts.orientation = static_cast<int>(orientation);
  facts.captured_at = CapturedAt(tiff, first, photo);
  facts.camera = Camera(tiff.Text(first, kMake), tiff.Text(first, kModel));
  if (const auto gps = tiff.Number(first, kGpsDirectory)) facts.gps = Position(tiff, *gps);
  return facts;
}

std::vector<bool> ReducedTiffDirectories(std::string_view file) {
  std::vector<bool> reduced;
  const Tiff tiff(file);
  if (!tiff.valid() || file.starts_with("Exif")) return reduced;
  for (uint64_t at = tiff.first(); at != 0 && reduced.size() < kDirectoriesMax;) {
    const auto next = tiff.Next(at);
    if (!next) break;
    reduced.push_back((tiff.Number(at, kNewSubfileType).value_or(0) & 1) != 0);
    at = *next;
  }
  return reduced;
}

bool IsDng(std::string_view head) {
  const Tiff tiff(head);
  return tiff.valid() && tiff.Find(tiff.first(), kDngVersion).has_value();
}

}  // namespace msearch::media
