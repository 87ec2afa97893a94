// The smallest EXIF that holds some tags: the first directory, then one for the photograph and one
// for the position, each followed by the values that don't fit into its entries.

#include <cmath>
#include <vector>

#include "support/pictures.h"

namespace msearch::test {
namespace {

class Writer {
 public:
  explicit Writer(bool big_endian) : big_(big_endian) {}

  std::string Number(uint32_t value, int size) const {
    std::string out;
    for (int i = 0; i < size; ++i) {
      out += static_cast<char>(value >> (8 * (big_ ? size - 1 - i : i)));
    }
    return out;
  }

  struct Entry {
    uint16_t tag;
    uint16_t type;
    uint32_t count;
    std::string value;
  };

  Entry Text(uint16_t tag, const std::string& text) const {
    return {tag, 2, static_cast<uint32_t>(text.size() + 1), text + '\0'};
  }
  Entry Short(uint16_t tag, uint32_t value) const { return {tag, 3, 1, Number(value, 2)}; }
  Entry Offset(uint16_t tag, uint32_t value) const { return {tag, 4, 1, Number(value, 4)}; }
  Entry Degrees(uint16_t tag, double degrees) const {
    std::string value;
    for (int i = 0; i < 3; ++i) {
      const double whole = i < 2 ? std::floor(degrees) : degrees;
      const uint32_t divisor = i < 2 ? 1 : 10000;
      value += Number(static_cast<uint32_t>(std::lround(whole * divisor)), 4) + Number(divisor, 4);
      degrees = (degrees - whole) * 60;
    }
    return {tag, 5, 3, value};
  }

  static uint32_t SizeOf(const std::vector<Entry>& entries) {
    size_t size = 2 + entries.size() * 12 + 4;
    for (const Entry& entry : entries) size += entry.value.size() > 4 ? entry.value.size() : 0;
    return static_cast<uint32_t>(size);
  }

  std::string Directory(const std::vector<Entry>& entries, uint32_t at) const {
    std::string out = Number(static_cast<uint32_t>(entries.size()), 2);
    std::string values;
    const auto values_at = static_cast<uint32_t>(at + 2 + entries.size() * 12 + 4);
    for (const Entry& entry : entries) {
      out += Number(entry.tag, 2) + Number(entry.type, 2) + Number(entry.count, 4);
      if (entry.value.size() > 4) {
        out += Number(static_cast<uint32_t>(values_at + values.size()), 4);
        values += entry.value;
      } else {
        out += entry.value + std::string(4 - entry.value.size(), '\0');
      }
    }
    return out + Number(0, 4) + values;
  }

  bool big_;
};

}  // namespace

std::string MakeExif(const ExifTags& tags, bool big_endian) {
  const Writer writer(big_endian);
  std::vector<Writer::Entry> first;
  std::vector<Writer::Entry> photo;
  std::vector<Writer::Entry> position;
  if (!tags.make.empty()) first.push_back(writer.Text(0x010F, tags.make));
  if (!tags.model.empty()) first.push_back(writer.Text(0x0110, tags.model));
  if (tags.orientation > 0) {
    first.push_back(writer.Short(0x0112, static_cast<uint32_t>(tags.orientation)));
  }
  if (!tags.date_time_original.empty()) {
    photo.push_back(writer.Text(0x9003, tags.date_time_original));
  }
  if (!tags.offset_time_original.empty()) {
    photo.push_back(writer.Text(0x9011, tags.offset_time_original));
  }
  if (tags.gps) {
    position = {writer.Text(1, tags.gps->first < 0 ? "S" : "N"),
                writer.Degrees(2, std::abs(tags.gps->first)),
                writer.Text(3, tags.gps->second < 0 ? "W" : "E"),
                writer.Degrees(4, std::abs(tags.gps->second))};
  }
  const uint32_t photo_at = 8 + Writer::SizeOf(first) + 2 * 12;  // with the two pointers below
  const uint32_t position_at = photo_at + Writer::SizeOf(photo);
  first.push_back(writer.Offset(0x8769, photo_at));
  first.push_back(writer.Offset(0x8825, position_at));
  return (big_endian ? "MM" : "II") + writer.Number(42, 2) + writer.Number(8, 4) +
         writer.Directory(first, 8) + writer.Directory(photo, photo_at) +
         writer.Directory(position, position_at);
}

}  // namespace msearch::test
