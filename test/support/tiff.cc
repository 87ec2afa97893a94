#include "support/tiff.h"

#include <algorithm>
#include <cmath>

namespace msearch::test {
namespace {

std::string Little(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

struct Field {
  uint16_t tag;
  uint16_t type;
  uint32_t count;
  std::string value;
};

Field Byte(uint16_t tag, const std::string& bytes) {
  return {tag, 1, static_cast<uint32_t>(bytes.size()), bytes};
}
Field Text(uint16_t tag, const std::string& text) {
  return {tag, 2, static_cast<uint32_t>(text.size() + 1), text + '\0'};
}
Field Short(uint16_t tag, const std::vector<uint32_t>& values) {
  std::string bytes;
  for (uint32_t value : values) bytes += Little(value, 2);
  return {tag, 3, static_cast<uint32_t>(values.size()), bytes};
}
Field Long(uint16_t tag, uint32_t value) { return {tag, 4, 1, Little(value, 4)}; }
Field Fractions(uint16_t tag, bool is_signed, const std::vector<double>& values) {
  std::string bytes;
  for (double value : values) {
    bytes += Little(static_cast<uint32_t>(static_cast<int32_t>(std::lround(value * 10000))), 4) +
             Little(10000, 4);
  }
  return {tag, static_cast<uint16_t>(is_signed ? 10 : 5), static_cast<uint32_t>(values.size()),
          bytes};
}

constexpr uint16_t kStripOffsets = 273;

class Writer {
 public:
  // Where the strip begins.
  uint32_t Data(const std::string& bytes) {
    const auto at = static_cast<uint32_t>(out_.size());
    out_ += bytes;
    if (out_.size() % 2 != 0) out_ += '\0';
    return at;
  }
  // Where the directory begins.
  uint32_t Directory(std::vector<Field> fields) {
    std::sort(fields.begin(), fields.end(),
              [](const Field& a, const Field& b) { return a.tag < b.tag; });
    std::vector<std::string> values;
    for (const Field& field : fields) {
      values.push_back(field.value.size() > 4
                           ? Little(Data(field.value), 4)
                           : field.value + std::string(4 - field.value.size(), '\0'));
    }
    const auto at = static_cast<uint32_t>(out_.size());
    out_ += Little(fields.size(), 2);
    for (size_t i = 0; i < fields.size(); ++i) {
      out_ += Little(fields[i].tag, 2) + Little(fields[i].type, 2) + Little(fields[i].count, 4) +
              values[i];
    }
    next_at_ = out_.size();
    out_ += Little(0, 4);
    return at;
  }
  // For a strip that comes after its directory, as cameras write it.
  void Place(uint32_t directory, const std::string& bytes) {
    const auto at = Little(Data(bytes), 4);
    const size_t count = static_cast<uint8_t>(out_[directory]) |
                         static_cast<size_t>(static_cast<uint8_t>(out_[directory + 1])) << 8;
    for (size_t i = 0; i < count; ++i) {
      const size_t entry = directory + 2 + i * 12;
      if (out_.compare(entry, 2, Little(kStripOffsets, 2)) == 0) out_.replace(entry + 8, 4, at);
    }
  }
  // Into the chain, behind the one chained before.
  uint32_t Chain(std::vector<Field> fields) {
    const size_t link = link_;
    const uint32_t at = Directory(std::move(fields));
    out_.replace(link, 4, Little(at, 4));
    link_ = next_at_;
    return at;
  }
  std::string Finish() { return std::move(out_); }

 private:
  std::string out_ = "II*" + Little(0, 5);
  size_t link_ = 4;
  size_t next_at_ = 0;
};

std::vector<Field> Common(uint32_t width, uint32_t height, uint32_t at, size_t bytes) {
  return {Long(256, width), Long(257, height), Long(kStripOffsets, at), Long(278, height),
          Long(279, static_cast<uint32_t>(bytes))};
}

double Linear(uint8_t value) {
  const double v = value / 255.0;
  return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
}

}  // namespace

std::string MakeTiff(const std::vector<TiffPage>& pages) {
  Writer writer;
  for (const TiffPage& page : pages) {
    const std::string rgb = media::ToRgb(page.raster);
    const uint32_t at = writer.Data(rgb);
    std::vector<Field> fields = Common(page.raster.width, page.raster.height, at, rgb.size());
    fields.push_back(Long(254, page.reduced ? 1 : 2));
    fields.push_back(Short(258, {8, 8, 8}));
    fields.push_back(Short(259, {1}));
    fields.push_back(Short(262, {2}));
    fields.push_back(Short(274, {static_cast<uint32_t>(page.orientation)}));
    fields.push_back(Short(277, {3}));
    writer.Chain(fields);
  }
  return writer.Finish();
}

std::string MakeDng(const media::Raster& raster, const DngOptions& options) {
  Writer writer;
  std::string cells;
  for (uint32_t y = 0; y < raster.height; ++y) {
    for (uint32_t x = 0; x < raster.width; ++x) {
      const uint32_t channel = x % 2 + y % 2;  // red, green; green, blue
      cells += Little(static_cast<uint64_t>(Linear(raster.row(y)[x * 4 + channel]) * 60000), 2);
    }
  }
  const size_t space = options.camera.find(' ');
  const Field orientation = Short(274, {static_cast<uint32_t>(options.orientation)});
  const std::vector<Field> camera = {
      Text(271, options.camera.substr(0, space)),
      Text(272, options.camera.substr(space + 1)),
      orientation,
      Text(306, "2026:01:31 12:00:00"),
      Byte(50706, std::string("\1\4\0\0", 4)),
      Byte(50707, std::string("\1\1\0\0", 4)),
      Text(50708, options.camera),
      Fractions(50721, true,
                {3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570}),
      Fractions(50728, false, {1, 1, 1}),
      Short(50778, {21})};
  std::vector<Field> raw = Common(raster.width, raster.height, 0, cells.size());
  for (const Field& field :
       {Long(254, 0), Short(258, {16}), Short(259, {1}), Short(262, {32803}), Short(277, {1}),
        Short(33421, {2, 2}), Byte(33422, std::string("\0\1\1\2", 4)), Short(50714, {0}),
        Short(50717, {60000})}) {
    raw.push_back(field);
  }
  if (options.preview.empty()) {
    raw.insert(raw.end(), camera.begin(), camera.end());
    writer.Place(writer.Chain(raw), cells);
    return writer.Finish();
  }
  const uint32_t raw_at = writer.Directory(raw);
  std::vector<Field> preview =
      Common(options.preview_width, options.preview_height, 0, options.preview.size());
  for (const Field& field : {Long(254, 1), Short(258, {8, 8, 8}), Short(259, {7}), Short(262, {6}),
                             Short(277, {3}), Long(330, raw_at)}) {
    preview.push_back(field);
  }
  preview.insert(preview.end(), camera.begin(), camera.end());
  writer.Place(writer.Chain(preview), options.preview);
  writer.Place(raw_at, cells);
  return writer.Finish();
}

}  // namespace msearch::test
