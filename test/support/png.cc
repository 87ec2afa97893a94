// PNG by hand: what libraries won't write, such as bombs and every kind of pixel.

#include <array>

#include "support/pictures.h"

namespace msearch::test {
namespace {

std::string Big(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}

uint32_t Crc(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      table[i] = i;
      for (int bit = 0; bit < 8; ++bit) {
        table[i] = (table[i] & 1) != 0 ? 0xEDB88320U ^ table[i] >> 1 : table[i] >> 1;
      }
    }
    return table;
  }();
  uint32_t crc = 0xFFFFFFFF;
  for (unsigned char byte : bytes) crc = kTable[(crc ^ byte) & 255] ^ crc >> 8;
  return ~crc;
}

std::string Chunk(const std::string& name, const std::string& data) {
  return Big(static_cast<uint32_t>(data.size())) + name + data + Big(Crc(name + data));
}

uint32_t Adler(std::string_view bytes) {
  uint32_t a = 1;
  uint32_t b = 0;
  for (unsigned char byte : bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

// zlib with blocks that aren't compressed.
std::string Stored(std::string_view bytes) {
  std::string out = "\x78\x01";
  for (size_t at = 0; at == 0 || at < bytes.size(); at += 65535) {
    const std::string_view part = bytes.substr(at, 65535);
    const auto size = static_cast<uint32_t>(part.size());
    out += at + 65535 >= bytes.size() ? '\1' : '\0';
    for (uint32_t number : {size, ~size}) {
      out += static_cast<char>(number);
      out += static_cast<char>(number >> 8);
    }
    out += part;
  }
  return out + Big(Adler(bytes));
}

// zlib of `size` zeros: one zero, then the longest repetition (258 of distance 1) over and over.
// It is 8 bits, 11000101, and 5 zeros in the fixed code. The check-sum is left out.
std::string Zeros(uint64_t size) {
  std::string out = "\x78\x01";
  uint32_t bits = 0;
  int count = 0;
  auto put = [&](std::string_view pattern) {
    for (char bit : pattern) {
      bits |= (bit == '1' ? 1U : 0U) << count;
      if (++count == 8) {
        out += static_cast<char>(bits);
        bits = 0;
        count = 0;
      }
    }
  };
  put("110");       // the last block, fixed code
  put("00110000");  // the byte 0
  for (uint64_t done = 1; done < size; done += 258) put("1100010100000");
  put("0000000");  // end of block
  if (count > 0) out += static_cast<char>(bits);
  return out;
}

std::string Header(uint32_t width, uint32_t height, int bits, int color_type) {
  std::string out = Big(width) + Big(height);
  out += static_cast<char>(bits);
  out += static_cast<char>(color_type);
  return std::string("\x89PNG\r\n\x1A\n") + Chunk("IHDR", out + std::string(3, '\0'));
}

}  // namespace

std::string MakePng(const PngParts& parts) {
  std::string out = Header(parts.width, parts.height, parts.bits, parts.color_type);
  if (!parts.exif.empty()) out += Chunk("eXIf", parts.exif);
  if (!parts.palette.empty()) out += Chunk("PLTE", parts.palette);
  if (!parts.transparency.empty()) out += Chunk("tRNS", parts.transparency);
  std::string filtered;
  const size_t stride = parts.height > 0 ? parts.rows.size() / parts.height : 0;
  for (uint32_t y = 0; y < parts.height; ++y) {
    filtered += '\0' + parts.rows.substr(y * stride, stride);
  }
  return out + Chunk("IDAT", Stored(filtered)) + Chunk("IEND", "");
}

std::string MakePngHeader(uint32_t width, uint32_t height) {
  return Header(width, height, 8, 0) + Chunk("IDAT", Zeros(1));
}

std::string MakePngBomb(uint32_t width, uint32_t height) {
  return Header(width, height, 8, 0) + Chunk("IDAT", Zeros(uint64_t{width + 1} * height)) +
         Chunk("IEND", "");
}

}  // namespace msearch::test
