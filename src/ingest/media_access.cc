#include "ingest/media_access.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace msearch::ingest {
namespace {

bool Matches(const struct stat& info, uint64_t size, int64_t modified_ns) {
  return static_cast<uint64_t>(info.st_size) == size &&
         info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec == modified_ns;
}

class LocalFile final : public MediaFile {
 public:
  LocalFile(Fd file, const PrepareJob& job)
      : file_(std::move(file)), path_(job.path), size_(job.size), modified_ns_(job.modified_ns) {}

  Result<Digest> Hash() override {
    auto hash = Sha256File(file_.get());
    if (!hash.ok()) return Error{hash.code(), path_ + ": " + hash.message()};
    return hash;
  }
  Result<const Fd*> Open() override { return &file_; }
  bool Changed() const override {
    struct stat info {};
    return fstat(file_.get(), &info) != 0 || !Matches(info, size_, modified_ns_);
  }

 private:
  const Fd file_;
  const std::string path_;
  const uint64_t size_;
  const int64_t modified_ns_;
};

class Local final : public MediaAccess {
 public:
  Result<std::unique_ptr<MediaFile>> Find(const PrepareJob& job, std::stop_token) override {
    Fd file = TRY(OpenUnchanged(job.AbsolutePath(), job.size, job.modified_ns));
    return std::unique_ptr<MediaFile>(std::make_unique<LocalFile>(std::move(file), job));
  }
  Result<Fd> OpenContent(const KnownContent& content, std::stop_token) override {
    auto file = OpenUnchanged(content.path, content.size, content.modified_ns);
    if (file.ok() || file.code() != Code::kUnavailable) return file;
    return Error{Code::kNotFound, content.path + ": has changed"};
  }
};

}  // namespace

std::unique_ptr<MediaAccess> LocalMedia() { return std::make_unique<Local>(); }

Result<Fd> OpenUnchanged(const std::string& path, uint64_t size, int64_t modified_ns) {
  Fd file = TRY(OpenFile(path, O_RDONLY));
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Error{Code::kUnsupported, path + ": not a regular file"};
  }
  if (!Matches(info, size, modified_ns)) {
    return Error{Code::kUnavailable, path + ": still changing"};
  }
  return file;
}

}  // namespace msearch::ingest
