#include "storage/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <mutex>

#include "base/file.h"
#include "base/strings.h"
#include "storage/checksum.h"

// A blob is one file, named by 16 random bytes: its id. The file system's cache makes this memory
// in practice, since a blob lives for a second or so. Its checksum is the first 8 bytes, so that a
// damaged blob reads as lost.
//
// A removed blob's file is kept for the next one, up to kSparesMax of them: a file system spends
// more on a new file soon after others were deleted (ext4 looks through its bitmaps for one that
// wasn't) than on writing a blob. Giving and taking are renames, so a spare belongs to one process
// at a time, and a pool larger than what is usually in flight comes to need no new files.
//
// The budget is over all processes: each adds what it writes to the size that it saw in the last
// listing of the directory, and lists again when that is a second old.

namespace msearch::storage {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

class FileBlobStore final : public BlobStore {
 public:
  FileBlobStore(std::string directory, uint64_t bytes_max)
      : directory_(std::move(directory)), bytes_max_(bytes_max) {}

  Result<std::string> Put(std::string_view bytes) override {
    const uint64_t size = bytes.size() + sizeof(uint64_t);
    if (size > bytes_max_) {
      return Error{Code::kTooLarge, "blobs: " + std::to_string(bytes.size()) +
                                        " bytes at once are more than the budget of " +
                                        std::to_string(bytes_max_)};
    }
    if (this->bytes() + size > bytes_max_) {
      return Error{Code::kExhausted,
                   "blobs: the budget of " + std::to_string(bytes_max_) + " bytes is used up"};
    }
    const std::string id = HexEncode(RandomBytes(16));
    const std::string path = Path(id);
    const bool spare = TakeSpare(path);
    const Fd fd = TRY(OpenFile(path, spare ? O_WRONLY : O_WRONLY | O_CREAT | O_EXCL));
    const uint64_t sum = Checksum(bytes);
    Result<> written = WriteAll(fd.get(), {reinterpret_cast<const char*>(&sum), sizeof(sum)});
    if (written.ok()) written = WriteAll(fd.get(), bytes);
    if (written.ok() && spare && ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
      written = ErrnoError("truncate", errno);
    }
    if (!written.ok()) {
      unlink(path.c_str());
      return Error{written.code(), "blobs: " + written.message()};
    }
    bytes_ += size;
    return id;
  }

  Result<std::string> Get(const std::string& id) const override {
    if (!Valid(id)) return Error{Code::kInvalid, "blob: not an id"};
    const Fd fd = TRY(OpenFile(Path(id), O_RDONLY));
    struct stat info {};
    if (fstat(fd.get(), &info) != 0) return ErrnoError("blob " + id, errno);
    uint64_t sum = 0;
    const auto size = static_cast<uint64_t>(info.st_size);
    const Error damaged{Code::kNotFound, "blob " + id + ": damaged"};
    if (size < sizeof(sum) || size > bytes_max_) return damaged;
    std::string bytes(size - sizeof(sum), '\0');
    const std::array<iovec, 2> parts{{{&sum, sizeof(sum)}, {bytes.data(), bytes.size()}}};
    const ssize_t read = readv(fd.get(), parts.data(), parts.size());
    if (read < 0) return ErrnoError("blob " + id, errno);
    if (static_cast<uint64_t>(read) != size || Checksum(bytes) != sum) return damaged;
    return bytes;
  }

  void Remove(const std::string& id) override {
    if (!Valid(id)) return;
    struct stat info {};
    const std::string path = Path(id);
    if (stat(path.c_str(), &info) != 0) return;
    const uint64_t size = static_cast<uint64_t>(info.st_size);
    if (!(size <= kSpareBytesMax && GiveSpare(path)) && unlink(path.c_str()) != 0) return;
    uint64_t seen = bytes_;
    while (!bytes_.compare_exchange_weak(seen, seen > size ? seen - size : 0)) {
    }
  }

  uint64_t bytes() const override {
    std::lock_guard lock(mutex_);
    const auto now = steady_clock::now();
    if (now - listed_at_ > std::chrono::seconds(1)) {
      uint64_t total = 0;
      (void)ForEachFile([&](const fs::directory_entry& entry) {
        if (IsSpare(entry.path().filename().native())) return;
        std::error_code gone;
        const uint64_t size = entry.file_size(gone);
        if (!gone) total += size;
      });
      bytes_ = total;
      listed_at_ = now;
    }
    return bytes_;
  }

  uint64_t bytes_max() const override { return bytes_max_; }

  Result<int> RemoveOlderThan(Milliseconds age) override {
    int removed = 0;
    const auto limit = fs::file_time_type::clock::now() - age;
    TRY(ForEachFile([&](const fs::directory_entry& entry) {
      std::error_code gone;
      if (entry.last_write_time(gone) < limit && !gone && fs::remove(entry.path(), gone)) ++removed;
    }));
    std::lock_guard lock(mutex_);
    listed_at_ = {};  // the size is counted anew when it's next asked for
    return removed;
  }

 private:
  // The iterator throws from its increment unless told not to.
  template <typename Each>
  Result<> ForEachFile(Each&& each) const {
    std::error_code error;
    fs::directory_iterator entry(directory_, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) each(*entry);
    if (error) return Error{Code::kUnavailable, directory_ + ": " + error.message()};
    return Ok{};
  }

  static constexpr unsigned kSparesMax = 256;
  static constexpr unsigned kSpareTries = 8;
  static constexpr uint64_t kSpareBytesMax = 512 << 10;
  static constexpr std::string_view kSparePrefix = "spare-";

  static bool IsSpare(std::string_view name) { return name.starts_with(kSparePrefix); }
  std::string SparePath(unsigned number) const {
    return directory_ + "/" + std::string(kSparePrefix) + std::to_string(number % kSparesMax);
  }
  // Each process goes round the places from where it was last. One that is taken is left as it is:
  // to replace a file is to delete one.
  bool GiveSpare(const std::string& path) {
    for (unsigned i = 0; i < kSpareTries; ++i) {
      const std::string spare = SparePath(given_++);
      if (renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, spare.c_str(), RENAME_NOREPLACE) == 0) {
        return true;
      }
      if (errno == ENOENT) return false;
    }
    return false;
  }
  bool TakeSpare(const std::string& path) {
    for (unsigned i = 0; i < kSpareTries; ++i) {
      if (rename(SparePath(taken_++).c_str(), path.c_str()) == 0) return true;
    }
    return false;
  }

  static bool Valid(const std::string& id) { return id.size() == 32 && HexDecode(id).has_value(); }
  std::string Path(const std::string& id) const { return directory_ + "/" + id; }

  const std::string directory_;
  const uint64_t bytes_max_;
  std::atomic<unsigned> given_ = 0;
  std::atomic<unsigned> taken_ = 0;
  mutable std::mutex mutex_;
  mutable std::atomic<uint64_t> bytes_ = 0;
  mutable steady_clock::time_point listed_at_{};
};

}  // namespace

Result<std::unique_ptr<BlobStore>> OpenFileBlobStore(const std::string& directory,
                                                     uint64_t bytes_max) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return Error{Code::kUnavailable, directory + ": " + error.message()};
  return std::unique_ptr<BlobStore>(std::make_unique<FileBlobStore>(directory, bytes_max));
}

}  // namespace msearch::storage
