// Segments are sorted by id, then each array of the format is written in turn, straight through,
// while its chunks are hashed. The head and table come first in the file but are known last. The
// space is reserved at the beginning, so that a full disk shows before gigabytes are written.
#include "index/file_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "index/file_format.h"

namespace msearch::index {
namespace {

// Collects bytes and writes them by chunks, hashing each.
class ChunkWriter {
 public:
  explicit ChunkWriter(int fd) : fd_(fd) { buffer_.reserve(kBufferBytes); }

  Result<> Append(const void* bytes, size_t count) {
    std::string_view rest(static_cast<const char*>(bytes), count);
    while (!rest.empty()) {
      const std::string_view part = rest.substr(0, kBufferBytes - buffer_.size());
      buffer_ += part;
      rest.remove_prefix(part.size());
      if (buffer_.size() == kBufferBytes) TRY(Flush());
    }
    return Ok{};
  }

  // Fills with zeros up to `end`, counted from the first byte appended.
  Result<> FillTo(uint64_t end) {
    const std::string zeros(end - written_ - buffer_.size(), '\0');
    return Append(zeros.data(), zeros.size());
  }

  Result<> Flush() {
    for (size_t at = 0; at < buffer_.size(); at += kChunkBytes) {
      hashes_.push_back(HashOf(std::string_view(buffer_).substr(at, kChunkBytes)));
    }
    TRY(WriteAll(fd_, buffer_));
    written_ += buffer_.size();
    buffer_.clear();
    return Ok{};
  }

  const std::vector<uint64_t>& hashes() const { return hashes_; }

 private:
  static constexpr size_t kBufferBytes = 256 * kChunkBytes;

  const int fd_;
  std::string buffer_;
  uint64_t written_ = 0;
  std::vector<uint64_t> hashes_;
};

// A live segment, and where the snapshot has it.
struct Source {
  SegmentId segment;
  uint32_t part;
  uint32_t slot;
};

// A vector, where the snapshot has it, and its segment's slot in the new file.
struct RowSource {
  uint32_t part;
  uint32_t row;
  uint32_t slot;
};

std::vector<Source> LiveById(const Snapshot& snapshot) {
  std::vector<Source> sources;
  for (uint32_t p = 0; p < snapshot.size(); ++p) {
    for (uint32_t slot = 0; slot < snapshot[p].slots; ++slot) {
      if (snapshot[p].IsLive(slot)) sources.push_back({snapshot[p].block->ids[slot], p, slot});
    }
  }
  std::sort(sources.begin(), sources.end(),
            [](const Source& a, const Source& b) { return a.segment < b.segment; });
  return sources;
}

std::vector<RowSource> RowsOf(const Snapshot& snapshot, const std::vector<Source>& sources,
                              uint32_t view) {
  std::vector<RowSource> rows;
  for (uint32_t slot = 0; slot < sources.size(); ++slot) {
    const Source& source = sources[slot];
    if (const auto row = snapshot[source.part].FindRow(view, source.slot)) {
      rows.push_back({source.part, *row, slot});
    }
  }
  return rows;
}

class IndexWriter {
 public:
  IndexWriter(int fd, const IndexOptions& options, const Snapshot& snapshot, uint64_t position)
      : fd_(fd), snapshot_(snapshot), sources_(LiveById(snapshot)), out_(fd) {
    head_.segments = sources_.size();
    head_.position = position;
    head_.model_key = options.model_key;
    head_.views = options.views;
    for (uint32_t v = 0; v < head_.views.size(); ++v) {
      rows_.push_back(RowsOf(snapshot, sources_, v));
      head_.rows.push_back(rows_.back().size());
    }
  }

  Result<> Write() {
    const FileLayout layout(head_);
    head_.file_bytes = layout.file_bytes;
    if (fallocate(fd_, 0, 0, static_cast<off_t>(layout.file_bytes)) != 0 && errno != EOPNOTSUPP &&
        errno != ENOSYS) {
      return ErrnoError("write", errno);
    }
    if (lseek(fd_, static_cast<off_t>(layout.data), SEEK_SET) < 0) {
      return ErrnoError("write", errno);
    }
    TRY(WriteIdsAndCodes(layout));
    TRY(WriteExact(layout));
    TRY(out_.FillTo(layout.file_bytes - layout.data));
    TRY(out_.Flush());
    return WriteBeginning(layout);
  }

 private:
  Result<> WriteIdsAndCodes(const FileLayout& layout) {
    for (const Source& source : sources_) TRY(out_.Append(&source.segment, sizeof(SegmentId)));
    for (uint32_t v = 0; v < head_.views.size(); ++v) {
      const FileLayout::Of& of = layout.views[v];
      TRY(out_.FillTo(of.slots - layout.data));
      if (of.has_slots) {
        for (const RowSource& row : rows_[v]) TRY(out_.Append(&row.slot, sizeof(row.slot)));
      }
      TRY(out_.FillTo(of.scales - layout.data));
      if (head_.views[v].codes == View::Codes::kInt8) {
        for (const RowSource& row : rows_[v]) {
          TRY(out_.Append(&RowsAt(row, v).scales[row.row], sizeof(float)));
        }
      }
      TRY(out_.FillTo(of.codes - layout.data));
      const uint64_t bytes = CodeBytes(head_.views[v]);
      for (const RowSource& row : rows_[v]) {
        TRY(out_.Append(RowsAt(row, v).codes + row.row * bytes, bytes));
      }
    }
    return Ok{};
  }

  Result<> WriteExact(const FileLayout& layout) {
    for (uint32_t v = 0; v < head_.views.size(); ++v) {
      TRY(out_.FillTo(layout.views[v].exact - layout.data));
      const size_t dimensions = head_.views[v].dimensions;
      std::vector<double>& sums = sums_.emplace_back(dimensions);
      for (const RowSource& row : rows_[v]) {
        TRY(snapshot_[row.part].block->CheckExact(v, row.row));
        const float* vector = RowsAt(row, v).exact + row.row * dimensions;
        for (size_t i = 0; i < dimensions; ++i) sums[i] += vector[i];
        TRY(out_.Append(vector, dimensions * sizeof(float)));
      }
    }
    return Ok{};
  }

  Result<> WriteBeginning(const FileLayout& layout) {
    std::string table;
    const auto put = [&table](const auto& numbers) {
      table.append(reinterpret_cast<const char*>(numbers.data()),
                   numbers.size() * sizeof(numbers[0]));
    };
    put(out_.hashes());
    for (const std::vector<double>& sums : sums_) put(sums);
    table.resize(layout.table_bytes());
    head_.table_hash = HashOf(table);
    if (lseek(fd_, 0, SEEK_SET) < 0) return ErrnoError("write", errno);
    return WriteAll(fd_, EncodeHead(head_) + table);
  }

  const Rows& RowsAt(const RowSource& row, uint32_t view) const {
    return snapshot_[row.part].block->views[view];
  }

  const int fd_;
  const Snapshot& snapshot_;
  const std::vector<Source> sources_;
  std::vector<std::vector<RowSource>> rows_;  // by view
  FileHead head_;
  Sums sums_;
  ChunkWriter out_;
};

Result<> SyncDirectoryOf(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const Fd directory =
      TRY(OpenFile(parent.empty() ? "." : parent.string(), O_RDONLY | O_DIRECTORY));
  if (fsync(directory.get()) != 0) return ErrnoError(path, errno);
  return Ok{};
}

}  // namespace

std::string UnfinishedPath(const std::string& path) { return path + ".unfinished"; }

Result<> WriteIndexFile(const std::string& path, const IndexOptions& options,
                        const Snapshot& snapshot, uint64_t position) {
  const std::string unfinished = UnfinishedPath(path);
  const Result<> written = [&]() -> Result<> {
    unlink(unfinished.c_str());
    const Fd fd = TRY(OpenFile(unfinished, O_WRONLY | O_CREAT | O_EXCL));
    TRY(IndexWriter(fd.get(), options, snapshot, position).Write());
    if (fdatasync(fd.get()) != 0) return ErrnoError("sync", errno);
    if (rename(unfinished.c_str(), path.c_str()) != 0) return ErrnoError("rename", errno);
    return SyncDirectoryOf(path);
  }();
  if (written.ok()) return written;
  unlink(unfinished.c_str());
  return Error{written.code(), path + ": " + written.message()};
}

}  // namespace msearch::index
