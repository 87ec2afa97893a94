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

constexpr std::chrono::minutes kToldFor{1};

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
  auto fetched = Fetch(hash, size, fill);
  if (fetched.ok()) Tell("");
  return fetched;
}

Result<Fd> MediaCache::Fetch(const Digest& hash, uint64_t size, const Fill& fill) {
  MakeRoom(size);
  const std::string part = PathOf(hash) + "." + owner_ + ".part";
  TRY(Write(part, fill));
  Fd file = TRY(OpenFile(part, O_RDONLY));
  auto got = Sha256File(file.get());
  if (!got.ok() || *got != hash) {
    unlink(part.c_str());
    return Error{Code::kUnavailable, "cache: what came is not " + hash.hex()};
  }
  if (size > bytes_max_) {
    unlink(part.c_str());
    return file;
  }
  if (rename(part.c_str(), PathOf(hash).c_str()) != 0) return ErrnoError(part, errno);
  return file;
}

Result<> MediaCache::Write(const std::string& part, const Fill& fill) {
  // That this machine can't write is told from what may be wrong with the other.
  if (const auto writable = OpenFile(part, O_WRONLY | O_CREAT); !writable.ok()) {
    Tell(writable.message());
    return Error{Code::kUnavailable, "cache: " + writable.message()};
  }
  Result<> filled = fill(part);
  if (filled.ok() || filled.code() != Code::kExhausted) return filled;
  MakeRoom(bytes_max_);
  DropOwnParts();
  filled = fill(part);
  if (filled.ok() || filled.code() != Code::kExhausted) return filled;
  // What there is of it would only be in the way of smaller ones.
  DropOwnParts();
  Tell(filled.message());
  return filled;
}

void MediaCache::Tell(const std::string& problem) {
  const std::lock_guard lock(mutex_);
  problem_ = problem.empty() ? "" : "media can't be fetched: " + problem;
  met_at_ = std::chrono::steady_clock::now();
}

std::string MediaCache::problem() const {
  const std::lock_guard lock(mutex_);
  return std::chrono::steady_clock::now() - met_at_ < kToldFor ? problem_ : "";
}

void MediaCache::DropOwnParts() {
  std::error_code error;
  fs::directory_iterator entry(directory_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    const bool own = name.find("." + owner_ + ".part") != std::string::npos;
    std::error_code ignored;
    if (own) fs::remove(entry->path(), ignored);
  }
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
