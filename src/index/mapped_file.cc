// Opening reads and hashes all but the float32 vectors: a fifth of the file, at some GB/s when it
// is in the page cache. Those are hashed by chunk when one of them is first used; a search uses
// some fifty. So nothing is used unchecked, and a large index opens at once. Opening reads the file
// instead of the map: pages that only were checked then don't count as this process's memory, and
// an unreadable disk is an error instead of a signal.
#include "index/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

namespace msearch::index {
namespace {

constexpr uint64_t kReadChunks = 256;

Result<std::string> ReadAt(int fd, const std::string& path, uint64_t offset, uint64_t bytes) {
  std::string out(bytes, '\0');
  uint64_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        pread(fd, out.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(path, errno);
    if (got == 0) return Error{Code::kCorrupt, path + ": the index file is cut off"};
    done += static_cast<uint64_t>(got);
  }
  return out;
}

Result<FileHead> ReadHead(int fd, const std::string& path) {
  const std::string start = TRY(ReadAt(fd, path, 0, kHeadStartBytes));
  const auto bytes = HeadBytes(start);
  if (!bytes.ok()) return Error{bytes.code(), path + ": " + bytes.message()};
  auto head = DecodeHead(TRY(ReadAt(fd, path, 0, *bytes)));
  if (!head.ok()) return Error{head.code(), path + ": " + head.message()};
  return head;
}

bool SameViews(const std::vector<View>& a, const std::vector<View>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const View& x, const View& y) {
    return x.name == y.name && x.dimensions == y.dimensions && x.codes == y.codes;
  });
}

template <typename T>
bool IsAscending(const T* begin, uint64_t count) {
  return std::adjacent_find(begin, begin + count, std::greater_equal<T>()) == begin + count;
}

}  // namespace

MappedFile::MappedFile(std::string path, Fd fd, FileHead head)
    : path_(std::move(path)), fd_(std::move(fd)), head_(std::move(head)), layout_(head_) {
  views.resize(head_.views.size());
}

MappedFile::~MappedFile() {
  if (map_ != nullptr) munmap(const_cast<std::byte*>(map_), layout_.file_bytes);
}

Error MappedFile::Damaged(const std::string& part) const {
  return {Code::kCorrupt, path_ + ": " + part + " of the index file damaged"};
}

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path,
                                                           const IndexOptions& options,
                                                           bool just_written) {
  Fd fd = TRY(OpenFile(path, O_RDONLY));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoError(path, errno);
  if (!S_ISREG(info.st_mode)) return Error{Code::kInvalid, path + ": not a regular file"};
  FileHead head = TRY(ReadHead(fd.get(), path));
  std::shared_ptr<MappedFile> file(new MappedFile(path, std::move(fd), std::move(head)));
  const auto size = static_cast<uint64_t>(info.st_size);
  if (file->layout_.file_bytes != file->head_.file_bytes) return file->Damaged("the beginning");
  if (file->layout_.file_bytes != size) {
    return Error{Code::kCorrupt, path + ": the index file is " + std::to_string(size) +
                                     " bytes long instead of " +
                                     std::to_string(file->layout_.file_bytes)};
  }
  if (file->head_.model_key != options.model_key || !SameViews(file->head_.views, options.views)) {
    return Error{Code::kStale, path + ": index file of another model: " + file->head_.model_key};
  }
  TRY(file->ReadTable());
  if (!just_written) TRY(file->CheckChunks(0, file->layout_.ChunkOf(file->layout_.exact)));
  TRY(file->Map());
  TRY(file->CheckOrder());
  return std::shared_ptr<const MappedFile>(std::move(file));
}

std::shared_ptr<const MappedFile> MappedFile::None(const IndexOptions& options) {
  FileHead head;
  head.views = options.views;
  head.rows.resize(head.views.size());
  std::shared_ptr<MappedFile> none(new MappedFile("", Fd(), std::move(head)));
  for (const View& view : options.views) none->sums_.emplace_back(view.dimensions);
  return none;
}

Result<> MappedFile::ReadTable() {
  const std::string table = TRY(ReadAt(fd_.get(), path_, layout_.table, layout_.table_bytes()));
  if (HashOf(table) != head_.table_hash) return Damaged("the table");
  const char* at = table.data();
  const auto take = [&at](auto& numbers, uint64_t count) {
    numbers.resize(count);
    if (count == 0) return;
    std::memcpy(numbers.data(), at, count * sizeof(numbers[0]));
    at += count * sizeof(numbers[0]);
  };
  take(hashes_, layout_.chunks());
  for (const View& view : head_.views) take(sums_.emplace_back(), view.dimensions);
  const uint64_t exact_chunks = layout_.chunks() - layout_.ChunkOf(layout_.exact);
  whole_ = std::make_unique<std::atomic<bool>[]>(exact_chunks);
  return Ok{};
}

Result<> MappedFile::CheckChunks(uint64_t begin, uint64_t end) const {
  for (uint64_t chunk = begin; chunk < end; chunk += kReadChunks) {
    const uint64_t offset = layout_.data + chunk * kChunkBytes;
    const uint64_t chunks = std::min(kReadChunks, end - chunk);
    const uint64_t bytes = std::min(chunks * kChunkBytes, layout_.file_bytes - offset);
    const std::string data = TRY(ReadAt(fd_.get(), path_, offset, bytes));
    for (uint64_t i = 0; i < chunks; ++i) {
      const auto one = std::string_view(data).substr(i * kChunkBytes, kChunkBytes);
      if (HashOf(one) != hashes_[chunk + i]) {
        return Damaged("bytes from " + std::to_string(offset + i * kChunkBytes));
      }
    }
  }
  return Ok{};
}

Result<> MappedFile::Map() {
  void* map = mmap(nullptr, layout_.file_bytes, PROT_READ, MAP_SHARED, fd_.get(), 0);
  if (map == MAP_FAILED) return ErrnoError(path_, errno);
  map_ = static_cast<const std::byte*>(map);
  // Re-scoring visits vectors here and there: what lies next to them isn't needed.
  const uint64_t exact = layout_.exact / kPageBytes * kPageBytes;
  if (exact < layout_.file_bytes) {
    madvise(static_cast<std::byte*>(map) + exact, layout_.file_bytes - exact, MADV_RANDOM);
  }
  ids = reinterpret_cast<const SegmentId*>(map_ + layout_.ids);
  for (size_t v = 0; v < views.size(); ++v) {
    const FileLayout::Of& of = layout_.views[v];
    const bool has_scales = head_.views[v].codes == View::Codes::kInt8;
    views[v] = {
        .codes = map_ + of.codes,
        .scales = has_scales ? reinterpret_cast<const float*>(map_ + of.scales) : nullptr,
        .exact = reinterpret_cast<const float*>(map_ + of.exact),
        .slots = of.has_slots ? reinterpret_cast<const uint32_t*>(map_ + of.slots) : nullptr,
        .count = static_cast<uint32_t>(head_.rows[v])};
  }
  return Ok{};
}

Result<> MappedFile::CheckOrder() const {
  if (!IsAscending(ids, head_.segments)) return Damaged("the ids");
  for (const Rows& rows : views) {
    if (rows.slots == nullptr || rows.count == 0) continue;
    if (!IsAscending(rows.slots, rows.count) || rows.slots[rows.count - 1] >= head_.segments) {
      return Damaged("the slots");
    }
  }
  return Ok{};
}

Result<> MappedFile::CheckExact(uint32_t view, uint32_t row) const {
  const uint64_t bytes = head_.views[view].dimensions * sizeof(float);
  const uint64_t offset = layout_.views[view].exact + row * bytes;
  const uint64_t first_exact = layout_.ChunkOf(layout_.exact);
  for (uint64_t c = layout_.ChunkOf(offset); c <= layout_.ChunkOf(offset + bytes - 1); ++c) {
    std::atomic<bool>& whole = whole_[c - first_exact];
    if (whole.load(std::memory_order_relaxed)) continue;
    const uint64_t begin = layout_.data + c * kChunkBytes;
    const uint64_t length = std::min(kChunkBytes, layout_.file_bytes - begin);
    if (HashOf({reinterpret_cast<const char*>(map_ + begin), length}) != hashes_[c]) {
      return Damaged("bytes from " + std::to_string(begin));
    }
    whole.store(true, std::memory_order_relaxed);
  }
  return Ok{};
}

Result<> MappedFile::CheckAll() const { return CheckChunks(0, hashes_.size()); }

std::optional<uint32_t> MappedFile::Find(SegmentId segment) const {
  const SegmentId* end = ids + head_.segments;
  const SegmentId* found = std::lower_bound(ids, end, segment);
  if (found == end || *found != segment) return std::nullopt;
  return static_cast<uint32_t>(found - ids);
}

}  // namespace msearch::index
