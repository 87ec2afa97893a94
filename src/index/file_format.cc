// The file, all integers little-endian, floats IEEE 754:
//
//   head    magic "msVector", u32 version, u32 head bytes, u64 file bytes, u64 segments, u64
//           position, u64 hash of the table; model key (u32 length and bytes), u32 number of views,
//           for each its name (as the key), u32 dimensions, u32 codes (1 int8, 2 bf16), u64 rows.
//           Zeros to a multiple of 4096, of which the last 8 bytes are the hash of all before them
//   table   u64 hash for each 4 KiB of data; for each view the f64 sums of its vectors by
//           dimension; zeros to a multiple of 4096
//   data    i64 ids, ascending; for each view u32 slots (the segment of each row, ascending; left
//           out when every segment has the view), f32 scales (int8 only), codes (each a multiple of
//           64 bytes, the rest zero); then, from a multiple of 4 KiB on, for each view its float32
//           vectors. Each array begins at a multiple of 64 bytes
//
// Hashes are XXH3-64, and every byte of the file is below one. They guard against damage, not
// against somebody who computes hashes as well: therefore sizes are bounded before anything is
// computed with them, offsets are computed instead of stored, the sum of all must be the file's
// size, and the order of ids and slots is checked. At worst a forged file gives wrong scores.
#include "index/file_format.h"

#include <xxhash.h>

#include <bit>
#include <cstring>

#include "index/block.h"

namespace msearch::index {

static_assert(std::endian::native == std::endian::little, "the file is mapped as it is");

namespace {

constexpr std::string_view kMagic = "msVector";
constexpr uint32_t kVersion = 1;
constexpr uint64_t kHeadBytesMax = 1 << 20;

template <typename T>
void Put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutName(std::string& out, std::string_view name) {
  Put(out, static_cast<uint32_t>(name.size()));
  out += name;
}

// Reads from the front; once something was too short everything is zero and `short_` stays.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  T Take() {
    T value{};
    if (bytes_.size() < sizeof(T)) return short_ = true, bytes_ = {}, value;
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  std::string TakeName() {
    const auto length = Take<uint32_t>();
    if (length > kNameBytesMax || length > bytes_.size()) return short_ = true, std::string();
    std::string name(bytes_.substr(0, length));
    bytes_.remove_prefix(length);
    return name;
  }
  bool failed() const { return short_; }

 private:
  std::string_view bytes_;
  bool short_ = false;
};

std::string HeadContent(const FileHead& head) {
  std::string out(kMagic);
  Put(out, kVersion);
  Put(out, uint32_t{0});  // the head's length, set when it's known
  Put(out, head.file_bytes);
  Put(out, head.segments);
  Put(out, head.position);
  Put(out, head.table_hash);
  PutName(out, head.model_key);
  Put(out, static_cast<uint32_t>(head.views.size()));
  for (size_t v = 0; v < head.views.size(); ++v) {
    PutName(out, head.views[v].name);
    Put(out, head.views[v].dimensions);
    Put(out, static_cast<uint32_t>(head.views[v].codes));
    Put(out, head.rows[v]);
  }
  return out;
}

bool IsBounded(const FileHead& head) {
  if (head.segments > kSegmentsMax || head.views.empty()) return false;
  for (size_t v = 0; v < head.views.size(); ++v) {
    const View& view = head.views[v];
    if (view.dimensions == 0 || view.dimensions > kDimensionsMax) return false;
    if (view.codes != View::Codes::kInt8 && view.codes != View::Codes::kBf16) return false;
    if (head.rows[v] > head.segments) return false;
  }
  return true;
}

}  // namespace

uint64_t HashOf(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t FileHead::bytes() const {
  return RoundUp(HeadContent(*this).size() + sizeof(uint64_t), kPageBytes);
}

Result<uint64_t> HeadBytes(std::string_view start) {
  const bool ours = start.starts_with(kMagic);
  Reader reader(ours ? start.substr(kMagic.size()) : std::string_view());
  reader.Take<uint32_t>();
  const uint64_t bytes = reader.Take<uint32_t>();
  if (!ours || bytes == 0 || bytes > kHeadBytesMax || bytes % kPageBytes != 0) {
    return Error{Code::kCorrupt, "not an index file, or its beginning is damaged"};
  }
  return bytes;
}

std::string EncodeHead(const FileHead& head) {
  std::string out = HeadContent(head);
  const auto bytes = static_cast<uint32_t>(head.bytes());
  std::memcpy(out.data() + kMagic.size() + sizeof(kVersion), &bytes, sizeof(bytes));
  out.resize(bytes - sizeof(uint64_t));
  Put(out, HashOf(out));
  return out;
}

Result<FileHead> DecodeHead(std::string_view bytes) {
  const Error damaged{Code::kCorrupt, "the beginning of the index file is damaged"};
  const std::string_view hashed = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  if (Reader(bytes.substr(hashed.size())).Take<uint64_t>() != HashOf(hashed)) return damaged;
  Reader reader(hashed.substr(kMagic.size()));
  if (const auto version = reader.Take<uint32_t>(); version != kVersion) {
    return Error{Code::kStale, "index file of version " + std::to_string(version)};
  }
  reader.Take<uint32_t>();
  FileHead head;
  head.file_bytes = reader.Take<uint64_t>();
  head.segments = reader.Take<uint64_t>();
  head.position = reader.Take<uint64_t>();
  head.table_hash = reader.Take<uint64_t>();
  head.model_key = reader.TakeName();
  const auto views = reader.Take<uint32_t>();
  if (views > kViewsMax) return damaged;
  for (uint32_t v = 0; v < views; ++v) {
    View& view = head.views.emplace_back();
    view.name = reader.TakeName();
    view.dimensions = reader.Take<uint32_t>();
    view.codes = static_cast<View::Codes>(reader.Take<uint32_t>());
    head.rows.push_back(reader.Take<uint64_t>());
  }
  if (reader.failed() || !IsBounded(head)) return damaged;
  return head;
}

FileLayout::FileLayout(const FileHead& head) {
  uint64_t end = 0;  // of what is placed so far, from the beginning of the data
  const auto place = [&end](uint64_t bytes) {
    const uint64_t begin = end;
    end = RoundUp(end + bytes, 64);
    return begin;
  };
  ids = place(head.segments * sizeof(SegmentId));
  uint64_t sums_bytes = 0;
  for (size_t v = 0; v < head.views.size(); ++v) {
    const View& view = head.views[v];
    Of of{.has_slots = head.rows[v] < head.segments};
    of.slots = place(of.has_slots ? head.rows[v] * sizeof(uint32_t) : 0);
    of.scales = place(view.codes == View::Codes::kInt8 ? head.rows[v] * sizeof(float) : 0);
    of.codes = place(head.rows[v] * CodeBytes(view));
    views.push_back(of);
    sums_bytes += view.dimensions * sizeof(double);
  }
  exact = end = RoundUp(end, kChunkBytes);
  for (size_t v = 0; v < head.views.size(); ++v) {
    views[v].exact = place(head.rows[v] * head.views[v].dimensions * sizeof(float));
  }
  table = head.bytes();
  const uint64_t chunks = (end + kChunkBytes - 1) / kChunkBytes;
  data = RoundUp(table + chunks * sizeof(uint64_t) + sums_bytes, kPageBytes);
  file_bytes = data + end;
  for (uint64_t* offset : {&ids, &exact}) *offset += data;
  for (Of& of : views) {
    for (uint64_t* offset : {&of.slots, &of.scales, &of.codes, &of.exact}) *offset += data;
  }
}

}  // namespace msearch::index
