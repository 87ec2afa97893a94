#include "ingest/served_files.h"

#include <pthread.h>
#include <sys/stat.h>

#include <filesystem>

#include "ingest/library.h"
#include "ingest/media_access.h"

namespace msearch::ingest {
namespace {

constexpr size_t kThreads = 2;
constexpr size_t kWaitingMax = 4096;
constexpr size_t kKnownMax = 4096;

Result<Fd> OpenBelow(const catalog::Root& root, const std::string& path, uint64_t size,
                     int64_t modified_ns) {
  const std::string whole = root.path + "/" + path;
  if (!SpecOf(root).follow_links) {
    // A file of the catalog may have been replaced by a link since it was seen.
    std::error_code error;
    const auto real = std::filesystem::canonical(whole, error);
    if (error) return Error{Code::kNotFound, path + ": " + error.message()};
    if (!real.string().starts_with(root.path + "/")) {
      return Error{Code::kPermission, path + ": leads out of its root"};
    }
  }
  return OpenUnchanged(whole, size, modified_ns);
}

}  // namespace

ServedFiles::ServedFiles(std::shared_ptr<catalog::Catalog> catalog) : catalog_(std::move(catalog)) {
  for (size_t i = 0; i < kThreads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
  }
}

ServedFiles::~ServedFiles() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
  for (const Job& job : jobs_) job.done(Error{Code::kUnavailable, "files: the server stops"});
}

Result<Fd> ServedFiles::Open(catalog::FileId id, int64_t version) const {
  const catalog::File file = TRY(catalog_->GetFile(id));
  if (file.version != version) {
    return Error{Code::kStale, file.fact.path + ": has changed since the task was made"};
  }
  for (const catalog::Root& root : TRY(catalog_->Roots())) {
    if (root.id != file.root_id) continue;
    return OpenBelow(root, file.fact.path, file.fact.size, file.fact.modified_ns);
  }
  return Error{Code::kNotFound, file.fact.path + ": its root is gone"};
}

Result<Fd> ServedFiles::OpenContent(const Digest& hash) const {
  const auto id = TRY(catalog_->FindMedia(hash));
  Error last{Code::kNotFound, "content " + hash.hex() + ": not in the catalog"};
  if (!id) return last;
  const catalog::Media media = TRY(catalog_->GetMedia(*id));
  const auto roots = TRY(catalog_->Roots());
  for (const catalog::Media::Path& path : media.paths) {
    for (const catalog::Root& root : roots) {
      if (root.name != path.root) continue;
      auto file = OpenBelow(root, path.path, path.size, path.modified_ns);
      if (file.ok()) return file;
      if (file.code() != Code::kUnavailable) last = file.error();
    }
  }
  return last;
}

void ServedFiles::Identify(catalog::FileId file, int64_t version,
                           std::function<void(Result<Identity>)> done) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() < kWaitingMax) {
      jobs_.push_back({file, version, std::move(done)});
      added_.notify_one();
      return;
    }
  }
  done(Error{Code::kExhausted, "files: too many wait to be hashed"});
}

void ServedFiles::Work(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "identify");
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (!added_.wait(lock, stop, [this] { return !jobs_.empty(); })) return;
      if (stop.stop_requested()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job.done(IdentifyNow(job));
  }
}

Result<ServedFiles::Identity> ServedFiles::IdentifyNow(const Job& job) {
  const Fd file = TRY(Open(job.file, job.version));
  auto state = [&]() -> Result<struct stat> {
    struct stat info {};
    if (fstat(file.get(), &info) != 0) return ErrnoError("file", errno);
    return info;
  };
  auto modified = [](const struct stat& info) {
    return info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
  };
  const struct stat before = TRY(state());
  const auto size = static_cast<uint64_t>(before.st_size);
  const auto key =
      std::make_tuple(uint64_t{before.st_dev}, uint64_t{before.st_ino}, size, modified(before));
  {
    const std::lock_guard lock(mutex_);
    if (auto found = known_.find(key); found != known_.end()) return Identity{found->second, size};
  }
  const Digest hash = TRY(Sha256File(file.get()));
  const struct stat after = TRY(state());
  if (after.st_size != before.st_size || modified(after) != modified(before)) {
    return Error{Code::kUnavailable, "file " + std::to_string(job.file) + ": still changing"};
  }
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kKnownMax) known_.clear();
  known_.emplace(key, hash);
  return Identity{hash, size};
}

}  // namespace msearch::ingest
