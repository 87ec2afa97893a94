// Reads FlatBuffers by field number, without generated code and without trusting a byte of them:
// an offset that leads out of the buffer reads as absent and marks the buffer as broken.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace msearch::embedding {

// The bytes, and whether reading has met anything impossible. Not thread-safe; outlives its tables.
struct FlatBuffer {
  std::string_view bytes;
  bool broken = false;

  template <typename T>
  T Read(uint64_t at) {
    T value{};
    if (at > bytes.size() || bytes.size() - at < sizeof(T)) {
      broken = true;
    } else {
      std::memcpy(&value, bytes.data() + at, sizeof(T));
    }
    return value;
  }
};

class FlatTable {
 public:
  // The buffer's root table.
  static FlatTable Root(FlatBuffer& buffer);

  template <typename T>
  T Scalar(int field, T otherwise) const {
    const uint64_t at = FieldAt(field);
    return at == 0 ? otherwise : buffer_->Read<T>(at);
  }
  // The bytes of a vector or string whose elements take `element_bytes`; empty when absent.
  std::string_view Bytes(int field, size_t element_bytes = 1) const;
  // At most `count_max` elements; more is broken.
  std::vector<int32_t> Ints(int field, size_t count_max) const;
  std::vector<FlatTable> Tables(int field, size_t count_max) const;
  // A table of which every field is absent, when absent.
  FlatTable Table(int field) const;

 private:
  FlatTable(FlatBuffer& buffer, uint64_t at);
  uint64_t FieldAt(int field) const;  // 0: absent
  uint64_t Follow(uint64_t at) const { return at + buffer_->Read<uint32_t>(at); }

  FlatBuffer* buffer_;
  uint64_t at_ = 0;  // 0: absent
  uint64_t fields_at_ = 0;
  uint16_t fields_bytes_ = 0;
};

}  // namespace msearch::embedding
