#include "embedding/byte_characters.h"

#include "base/unicode.h"

namespace msearch::embedding {

std::array<std::string, 256> ByteCharacters() {
  std::array<std::string, 256> table;
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
                           (byte >= 0xAE && byte <= 0xFF);
    AppendUtf8(table[static_cast<size_t>(byte)], printable ? static_cast<char32_t>(byte) : next++);
  }
  return table;
}

}  // namespace msearch::embedding
