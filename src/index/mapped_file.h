// The segments of an index file, mapped into memory.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "index/block.h"
#include "index/file_format.h"
#include "index/vector_index.h"

namespace msearch::index {

// Immutable and thread-safe. A file that is replaced stays mapped for as long as somebody uses it.
class MappedFile final : public Block {
 public:
  // kNotFound, kCorrupt, kStale. `just_written` leaves out the check of ids and codes.
  static Result<std::shared_ptr<const MappedFile>> Open(const std::string& path,
                                                        const IndexOptions& options,
                                                        bool just_written = false);
  // The segments of an index that has no file yet: none.
  static std::shared_ptr<const MappedFile> None(const IndexOptions& options);
  ~MappedFile() override;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Result<> CheckExact(uint32_t view, uint32_t row) const override;
  Result<> CheckAll() const;
  // The slot of a segment.
  std::optional<uint32_t> Find(SegmentId segment) const;

  uint32_t segments() const { return static_cast<uint32_t>(head_.segments); }
  const FileHead& head() const { return head_; }
  const Sums& sums() const { return sums_; }

 private:
  MappedFile(std::string path, Fd fd, FileHead head);
  Result<> ReadTable();
  Result<> Map();
  Result<> CheckOrder() const;
  Result<> CheckChunks(uint64_t begin, uint64_t end) const;
  Error Damaged(const std::string& part) const;

  const std::string path_;
  const Fd fd_;
  const FileHead head_;
  const FileLayout layout_;
  const std::byte* map_ = nullptr;
  std::vector<uint64_t> hashes_;  // by chunk
  Sums sums_;
  // By chunk, counted from the first with float32 vectors: found to be whole.
  std::unique_ptr<std::atomic<bool>[]> whole_;
};

}  // namespace msearch::index
