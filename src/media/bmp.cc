// Windows bitmaps: a file header of 14 bytes, an information header that names its own length (12:
// OS/2; 40 and more: Windows), a palette, and rows padded to 4 bytes, the lowest first unless the
// height is negative. Every figure in the headers is checked against the length of the file before
// it is used. An alpha channel is ignored, as Windows does.

#include <algorithm>
#include <array>
#include <cstring>

#include "media/picture.h"

namespace msearch::media {
namespace {

enum Compression : uint32_t { kNone = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3, kAlphaFields = 6 };

constexpr size_t kFileHeader = 14;
constexpr size_t kHeadersMax = kFileHeader + 124 + 16;
constexpr uint32_t kSideMax = 1 << 24;

struct Header {
  uint32_t width = 0;
  uint32_t height = 0;
  bool top_down = false;
  uint32_t bits = 0;
  uint32_t compression = kNone;
  uint64_t data = 0;
  std::array<uint32_t, 3> masks{};
  std::array<std::array<uint8_t, 3>, 256> palette{};  // red, green, blue

  uint64_t stride() const { return (uint64_t{width} * bits + 31) / 32 * 4; }
};

uint32_t Little(std::string_view bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = 0; i < size && at + i < bytes.size(); ++i) {
    value |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  }
  return value;
}

Error Corrupt(const std::string& fault) { return {Code::kCorrupt, "BMP: " + fault}; }

void ReadMasks(std::string_view head, Header& header) {
  if (header.compression == kBitFields || header.compression == kAlphaFields) {
    for (size_t i = 0; i < 3; ++i) header.masks[i] = Little(head, kFileHeader + 40 + i * 4, 4);
  } else if (header.bits == 16) {
    header.masks = {0x7C00, 0x03E0, 0x001F};
  } else {
    header.masks = {0xFF0000, 0xFF00, 0xFF};
  }
}

Result<> ReadPalette(const MediaSource& source, uint32_t info_bytes, uint32_t colors,
                     Header& header) {
  const uint32_t count = std::min<uint32_t>(colors > 0 ? colors : 256, 1U << header.bits);
  const size_t entry = info_bytes == 12 ? 3 : 4;
  std::string bytes(count * entry, '\0');
  const size_t got = TRY(ReadAt(source.fd, kFileHeader + info_bytes, bytes.data(), bytes.size()));
  if (got < bytes.size()) return Corrupt("ends in the palette");
  for (size_t i = 0; i < count; ++i) {
    for (size_t channel = 0; channel < 3; ++channel) {
      header.palette[i][channel] = static_cast<uint8_t>(bytes[i * entry + 2 - channel]);
    }
  }
  return Ok{};
}

Result<> CheckKind(const Header& header) {
  const uint32_t bits = header.bits;
  const uint32_t kind = header.compression;
  const bool known = (kind == kNone && (bits == 1 || bits == 4 || bits == 8 || bits == 16 ||
                                        bits == 24 || bits == 32)) ||
                     (kind == kRle8 && bits == 8 && !header.top_down) ||
                     (kind == kRle4 && bits == 4 && !header.top_down) ||
                     ((kind == kBitFields || kind == kAlphaFields) && (bits == 16 || bits == 32));
  if (known) return Ok{};
  return Error{Code::kUnsupported, "BMP: " + std::to_string(bits) + " bits a pixel, compression " +
                                       std::to_string(kind)};
}

Result<Header> ReadHeader(const MediaSource& source, const PictureRequest& request) {
  const std::string_view head = source.head.substr(0, kHeadersMax);
  const uint32_t info_bytes = Little(head, kFileHeader, 4);
  if (head.size() < kFileHeader + 12 || (info_bytes != 12 && info_bytes < 40) || info_bytes > 124 ||
      head.size() < kFileHeader + info_bytes) {
    return Corrupt("broken header");
  }
  Header header;
  header.data = Little(head, 10, 4);
  uint32_t colors = 0;
  if (info_bytes == 12) {
    header.width = Little(head, 18, 2);
    header.height = Little(head, 20, 2);
    header.bits = Little(head, 24, 2);
  } else {
    header.width = Little(head, 18, 4);
    header.height = Little(head, 22, 4);
    header.top_down = (header.height & 0x80000000) != 0;
    if (header.top_down) header.height = 0 - header.height;
    header.bits = Little(head, 28, 2);
    header.compression = Little(head, 30, 4);
    colors = Little(head, 46, 4);
  }
  TRY(request.CheckSize(header.width, header.height));
  if (header.width > kSideMax || header.height > kSideMax) return Corrupt("broken header");
  TRY(CheckKind(header));
  ReadMasks(head, header);
  if (header.bits <= 8) TRY(ReadPalette(source, info_bytes, colors, header));
  return header;
}

// The bits under the mask, widened to 8.
uint8_t Channel(uint32_t value, uint32_t mask) {
  if (mask == 0) return 0;
  const int shift = __builtin_ctz(mask);
  const uint64_t most = mask >> shift;
  return static_cast<uint8_t>(((value & mask) >> shift) * uint64_t{255} / most);
}

void ConvertRow(const Header& header, const uint8_t* row, uint8_t* rgbx) {
  for (uint32_t x = 0; x < header.width; ++x, rgbx += 4) {
    if (header.bits <= 8) {
      const uint32_t bit = x * header.bits;
      const uint32_t index = row[bit / 8] >> (8 - header.bits - bit % 8) & ((1 << header.bits) - 1);
      std::copy_n(header.palette[index].data(), 3, rgbx);
    } else if (header.bits == 24) {
      for (int channel = 0; channel < 3; ++channel) rgbx[channel] = row[x * 3 + 2 - channel];
    } else {
      uint32_t value = 0;
      std::memcpy(&value, row + size_t{x} * (header.bits / 8), header.bits / 8);
      for (int channel = 0; channel < 3; ++channel) {
        rgbx[channel] = Channel(value, header.masks[channel]);
      }
    }
  }
}

// One byte for each pixel, rows from the top. Pixels that the codes skip stay 0.
Result<std::vector<uint8_t>> Unpack(const Header& header, std::string_view codes) {
  std::vector<uint8_t> out(size_t{header.width} * header.height);
  const bool four = header.bits == 4;
  uint32_t x = 0;
  uint32_t y = 0;  // from the bottom
  size_t at = 0;
  auto next = [&] { return at < codes.size() ? static_cast<uint8_t>(codes[at++]) : uint8_t{0}; };
  auto put = [&](uint8_t index) {
    if (x < header.width && y < header.height) {
      out[size_t{header.height - 1 - y} * header.width + x] = index;
    }
    ++x;
  };
  while (at + 1 < codes.size() && y < header.height) {
    const uint8_t count = next();
    const uint8_t value = next();
    if (count > 0) {
      for (int i = 0; i < count; ++i) put(four ? (i % 2 == 0 ? value >> 4 : value & 15) : value);
    } else if (value == 0) {
      x = 0;
      ++y;
    } else if (value == 1) {
      return out;
    } else if (value == 2) {
      x = std::min<uint32_t>(x + next(), header.width);
      y += next();
    } else {
      const size_t begin = at;
      uint8_t pair = 0;
      for (int i = 0; i < value; ++i) {
        if (!four || i % 2 == 0) pair = next();
        put(four ? (i % 2 == 0 ? pair >> 4 : pair & 15) : pair);
      }
      if ((at - begin) % 2 != 0) next();
    }
  }
  if (y < header.height && !(y + 1 == header.height && x >= header.width)) {
    return Corrupt("ends early, after " + std::to_string(y) + " of " +
                   std::to_string(header.height) + " rows");
  }
  return out;
}

Result<Raster> DecodePacked(const MediaSource& source, Header header, RowReducer reducer) {
  const std::string file = TRY(ReadSource(source, kPictureBytesMax));
  if (header.data > file.size()) return Corrupt("ends early");
  const std::vector<uint8_t> indexes =
      TRY(Unpack(header, std::string_view(file).substr(header.data)));
  header.bits = 8;
  std::vector<uint8_t> rgbx(size_t{header.width} * 4);
  for (uint32_t y = 0; y < header.height; ++y) {
    ConvertRow(header, indexes.data() + size_t{y} * header.width, rgbx.data());
    reducer.Add(rgbx.data());
  }
  return reducer.Finish();
}

Result<Raster> DecodePlain(const MediaSource& source, const Header& header, RowReducer reducer) {
  std::vector<uint8_t> row(header.stride());
  std::vector<uint8_t> rgbx(size_t{header.width} * 4);
  for (uint32_t y = 0; y < header.height; ++y) {
    const uint64_t stored = header.top_down ? y : header.height - 1 - y;
    const size_t got = TRY(ReadAt(source.fd, header.data + stored * row.size(),
                                  reinterpret_cast<char*>(row.data()), row.size()));
    if (got < row.size()) return Corrupt("ends early");
    ConvertRow(header, row.data(), rgbx.data());
    reducer.Add(rgbx.data());
  }
  return reducer.Finish();
}

}  // namespace

Result<DecodedPicture> DecodeBmp(const MediaSource& source, const PictureRequest& request) {
  const Header header = TRY(ReadHeader(source, request));
  const bool packed = header.compression == kRle8 || header.compression == kRle4;
  if (!packed && header.data + header.stride() * header.height > source.size) {
    return Corrupt("ends early");
  }
  RowReducer reducer(header.width, header.height,
                     request.Reduction(header.width, header.height, 64));
  DecodedPicture picture;
  picture.width = header.width;
  picture.height = header.height;
  picture.raster = packed ? TRY(DecodePacked(source, header, std::move(reducer)))
                          : TRY(DecodePlain(source, header, std::move(reducer)));
  return picture;
}

}  // namespace msearch::media
