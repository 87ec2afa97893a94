// The index file's format: what is where. file_format.cc describes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "index/vector_index.h"

namespace msearch::index {

constexpr uint64_t kChunkBytes = 4096;  // of data, for which there is one hash
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kNameBytesMax = 4096;  // of the model key and of a view's name

constexpr uint64_t RoundUp(uint64_t bytes, uint64_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

uint64_t HashOf(std::string_view bytes);

// For each view the sum of its vectors, by dimension.
using Sums = std::vector<std::vector<double>>;

// What the beginning of a file says about the rest.
struct FileHead {
  uint64_t file_bytes = 0;
  uint64_t segments = 0;
  uint64_t position = 0;
  uint64_t table_hash = 0;
  std::string model_key;
  std::vector<View> views;
  std::vector<uint64_t> rows;  // by view: how many segments have it

  uint64_t bytes() const;  // as encoded
};

// The smallest part of a head that says how long the head is.
constexpr uint64_t kHeadStartBytes = 16;
// kCorrupt when this is no index file.
Result<uint64_t> HeadBytes(std::string_view start);
std::string EncodeHead(const FileHead& head);
// From HeadBytes() bytes. kCorrupt when damaged or beyond any bound, kStale for another version.
Result<FileHead> DecodeHead(std::string_view bytes);

// Where everything is, in bytes from the beginning of the file. Follows from the head alone, so
// that a file has no offset that could point anywhere. No sum overflows within the bounds.
struct FileLayout {
  explicit FileLayout(const FileHead& head);

  struct Of {
    bool has_slots = false;
    uint64_t slots = 0;
    uint64_t scales = 0;  // int8 only
    uint64_t codes = 0;
    uint64_t exact = 0;
  };
  uint64_t table = 0;
  uint64_t data = 0;
  uint64_t ids = 0;
  std::vector<Of> views;
  uint64_t exact = 0;  // the first byte of float32 vectors, at the beginning of a chunk
  uint64_t file_bytes = 0;

  uint64_t table_bytes() const { return data - table; }
  uint64_t chunks() const { return (file_bytes - data + kChunkBytes - 1) / kChunkBytes; }
  uint64_t ChunkOf(uint64_t offset) const { return (offset - data) / kChunkBytes; }
};

}  // namespace msearch::index
