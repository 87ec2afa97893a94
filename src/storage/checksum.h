// Guards blobs against torn and damaged bytes, not against attackers.
#pragma once

#include <cstdint>
#include <string_view>

namespace msearch::storage {

// FNV-1a over 8 bytes at a time.
inline uint64_t Checksum(std::string_view bytes) {
  uint64_t sum = 0xcbf29ce484222325 ^ bytes.size();
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word = 0;
    bytes.copy(reinterpret_cast<char*>(&word), 8, i);
    sum = (sum ^ word) * 0x100000001b3;
    sum ^= sum >> 29;
  }
  for (; i < bytes.size(); ++i) {
    sum = (sum ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3;
  }
  return sum;
}

}  // namespace msearch::storage
