#include "embedding/flat_reader.h"

// A table begins with a signed distance back to its list of fields: u16 size of that list, u16
// size of the table, then for each field the u16 distance from the table's beginning (0: absent).
// Vectors, strings and tables are reached over a u32 distance; vectors begin with a u32 count.

namespace msearch::embedding {

FlatTable FlatTable::Root(FlatBuffer& buffer) { return {buffer, buffer.Read<uint32_t>(0)}; }

FlatTable::FlatTable(FlatBuffer& buffer, uint64_t at) : buffer_(&buffer), at_(at) {
  if (at == 0) return;
  const int64_t fields_at = static_cast<int64_t>(at) - buffer.Read<int32_t>(at);
  if (fields_at < 0) {
    buffer.broken = true;
  } else {
    fields_at_ = static_cast<uint64_t>(fields_at);
    fields_bytes_ = buffer.Read<uint16_t>(fields_at_);
  }
  if (buffer.broken) at_ = 0;
}

uint64_t FlatTable::FieldAt(int field) const {
  const unsigned place = 4 + 2 * static_cast<unsigned>(field);
  if (at_ == 0 || place + 2 > fields_bytes_) return 0;
  const auto distance = buffer_->Read<uint16_t>(fields_at_ + place);
  return distance == 0 ? 0 : at_ + distance;
}

std::string_view FlatTable::Bytes(int field, size_t element_bytes) const {
  const uint64_t at = FieldAt(field);
  if (at == 0) return {};
  const uint64_t vector = Follow(at);
  const uint64_t size = uint64_t{buffer_->Read<uint32_t>(vector)} * element_bytes;
  const uint64_t begin = vector + 4;
  if (buffer_->broken || begin > buffer_->bytes.size() || size > buffer_->bytes.size() - begin) {
    buffer_->broken = true;
    return {};
  }
  return buffer_->bytes.substr(begin, size);
}

std::vector<int32_t> FlatTable::Ints(int field, size_t count_max) const {
  const std::string_view bytes = Bytes(field, sizeof(int32_t));
  std::vector<int32_t> out(bytes.size() / sizeof(int32_t));
  if (out.size() > count_max) {
    buffer_->broken = true;
    return {};
  }
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::vector<FlatTable> FlatTable::Tables(int field, size_t count_max) const {
  const std::string_view bytes = Bytes(field, sizeof(uint32_t));
  const size_t count = bytes.size() / sizeof(uint32_t);
  if (count > count_max) {
    buffer_->broken = true;
    return {};
  }
  std::vector<FlatTable> out;
  out.reserve(count);
  const auto begin = static_cast<uint64_t>(bytes.data() - buffer_->bytes.data());
  for (size_t i = 0; i < count && !buffer_->broken; ++i) {
    out.push_back(FlatTable(*buffer_, Follow(begin + i * sizeof(uint32_t))));
  }
  return out;
}

FlatTable FlatTable::Table(int field) const {
  const uint64_t at = FieldAt(field);
  return {*buffer_, at == 0 ? 0 : Follow(at)};
}

}  // namespace msearch::embedding
