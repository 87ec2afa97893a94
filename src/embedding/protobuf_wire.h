// Protobuf's wire format: each field is a varint key (number << 3 | wire type) and a value; a
// message within a message is a field of wire type 2 (length, bytes).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace msearch::embedding {

void PutVarint(std::string& out, uint64_t value);
void PutInt(std::string& out, int field, int64_t value);
void PutBytes(std::string& out, int field, std::string_view bytes);
void PutFloat(std::string& out, int field, float value);

struct ProtobufField {
  int number = 0;
  uint64_t value = 0;      // of a varint
  std::string_view bytes;  // of a string, message or packed list
  std::string_view whole;  // with its key, as it stands in the message
};

// Reads a message field by field; trusts no byte. Points into the message.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  // Nothing at the end, and from the first fault on.
  std::optional<ProtobufField> Next();
  bool broken() const { return broken_; }
  // The next number of a packed list.
  std::optional<uint64_t> Varint();

 private:
  std::string_view rest_;
  bool broken_ = false;
};

}  // namespace msearch::embedding
