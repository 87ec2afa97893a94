#include "embedding/protobuf_wire.h"

#include <cstring>

namespace msearch::embedding {
namespace {

enum WireType : uint64_t { kVarint = 0, kEightBytes = 1, kLength = 2, kFourBytes = 5 };

}  // namespace

void PutVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void PutInt(std::string& out, int field, int64_t value) {
  PutVarint(out, static_cast<uint64_t>(field) << 3);
  PutVarint(out, static_cast<uint64_t>(value));
}

void PutBytes(std::string& out, int field, std::string_view bytes) {
  PutVarint(out, (static_cast<uint64_t>(field) << 3) | kLength);
  PutVarint(out, bytes.size());
  out += bytes;
}

void PutFloat(std::string& out, int field, float value) {
  PutVarint(out, (static_cast<uint64_t>(field) << 3) | kFourBytes);
  char bytes[sizeof(float)];
  std::memcpy(bytes, &value, sizeof(value));
  out.append(bytes, sizeof(bytes));
}

std::optional<uint64_t> ProtobufReader::Varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < 10 && i < rest_.size(); ++i) {
    const auto byte = static_cast<uint8_t>(rest_[i]);
    value |= uint64_t{byte & 0x7FU} << (7 * i);
    if (byte < 0x80) {
      rest_.remove_prefix(i + 1);
      return value;
    }
  }
  broken_ = true;
  return std::nullopt;
}

std::optional<ProtobufField> ProtobufReader::Next() {
  if (broken_ || rest_.empty()) return std::nullopt;
  const char* begin = rest_.data();
  const std::optional<uint64_t> key = Varint();
  if (!key) return std::nullopt;
  ProtobufField field;
  field.number = static_cast<int>(*key >> 3 & 0x1FFFFFFF);
  uint64_t length = 0;
  switch (*key & 7) {
    case kVarint: {
      const std::optional<uint64_t> value = Varint();
      if (!value) return std::nullopt;
      field.value = *value;
      break;
    }
    case kEightBytes:
      length = 8;
      break;
    case kFourBytes:
      length = 4;
      break;
    case kLength: {
      const std::optional<uint64_t> given = Varint();
      if (!given) return std::nullopt;
      length = *given;
      break;
    }
    default:
      broken_ = true;
      return std::nullopt;
  }
  if (length > rest_.size()) {
    broken_ = true;
    return std::nullopt;
  }
  field.bytes = rest_.substr(0, length);
  rest_.remove_prefix(length);
  field.whole = {begin, static_cast<size_t>(rest_.data() - begin)};
  return field;
}

}  // namespace msearch::embedding
