#include "compute/media_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/log.h"

// A content is one file, named by its hash; its modification time is when it was used last, and the
// oldest go first. A part in the making is HASH.OWNER.part: each process has its own, so that two
// that want one content disturb each other in nothing but time. Removal is unlink: the kernel keeps
// what is still open.

namespace msearch::compute {
namespace {

namespace fs = std::filesystem;

}  // namespace

MediaCache::MediaCache(std::string directory, uint64_t bytes_max, std::string owner)
    : directory_(std::move(directory)), bytes_max_(bytes_max), owner_(std::move(owner)) {
  std::error_code ignored;
  fs::create_directories(directory_, ignored);
}

std::string MediaCache::PathOf(const Digest& hash) const { return directory_ + "/" + hash.hex(); }

Result<Fd> MediaCache::Find(const Digest& hash) {
  const std::string path = PathOf(hash);
  auto file = OpenFile(path, O_RDONLY);
  if (file.ok()) futimens(file->get(), nullptr);  // used now
  return file;
}

Result<Fd> MediaCache::Get(const Digest& hash, uint64_t size, const Fill& fill) {
  if (auto found = Find(hash); found.ok()) return found;
  if (size > bytes_max_) {
    return Error{Code::kTooLarge,
                 fmt::format("cache: a file of {} bytes is more than its {} bytes; see "
                             "compute.cache_bytes_max",
                             size, bytes_max_)};
  }
  MakeRoom(size);
  const std::string part = PathOf(hash) + "." + owner_ + ".part";
  TRY(fill(part));
  Fd file = TRY(OpenFile(part, O_RDONLY));
  auto got = Sha256File(file.get());
  if (!got.ok() || *got != hash) {
    unlink(part.c_str());
    return Error{Code::kUnavailable, "cache: what came is not " + hash.hex()};
  }
  if (rename(part.c_str(), PathOf(hash).c_str()) != 0) return ErrnoError(part, errno);
  return file;
}

// The parts of others count, but only whole files go: those that were used longest ago.
void MediaCache::MakeRoom(uint64_t bytes) {
  struct Entry {
    fs::path path;
    fs::file_time_type used;
    uint64_t size = 0;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code error;
  fs::directory_iterator entry(directory_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code gone;
    const uint64_t size = entry->file_size(gone);
    const auto used = entry->last_write_time(gone);
    if (gone) continue;
    total += size;
    const bool part =
        entry->path().extension() == ".part" || entry->path().extension() == ".resume";
    // A part that nobody has written to for a day belongs to nobody.
    const bool left = part && fs::file_time_type::clock::now() - used > std::chrono::hours(24);
    if (!part || left) entries.push_back({entry->path(), used, size});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& oldest : entries) {
    if (total + bytes <= bytes_max_) return;
    std::error_code ignored;
    if (fs::remove(oldest.path, ignored)) total -= oldest.size;
  }
}

}  // namespace msearch::compute
