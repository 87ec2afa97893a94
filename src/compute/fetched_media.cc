#include "compute/fetched_media.h"

#include "base/log.h"

// The controller is asked for the hash first: a content that the catalog knows, or that lies in the
// cache, is never sent. What is sent is held against that hash.

namespace msearch::compute {
namespace {

constexpr Milliseconds kIdentifyTimeout{600000};  // of a large file on a slow disk

class FetchedFile final : public ingest::MediaFile {
 public:
  FetchedFile(std::shared_ptr<ControllerLink> link, std::shared_ptr<MediaCache> cache,
              const ingest::PrepareJob& job, std::stop_token stop)
      : link_(std::move(link)),
        cache_(std::move(cache)),
        path_("/api/compute/files/" + std::to_string(job.file)),
        version_("?version=" + std::to_string(job.version)),
        stop_(std::move(stop)) {}

  Result<Digest> Hash() override {
    const Json answer = TRY(link_->GetJson(path_ + "/digest" + version_, kIdentifyTimeout, stop_));
    hash_ = TRY(Digest::FromHex(GetString(answer, "sha256").value_or("")));
    size_ = static_cast<uint64_t>(GetInt(answer, "size").value_or(0));
    return hash_;
  }

  Result<const Fd*> Open() override {
    if (!file_.valid()) {
      file_ = TRY(cache_->Get(hash_, size_, [&](const std::string& part) {
        return link_->Download(path_ + version_, part, size_, stop_);
      }));
    }
    return &file_;
  }

  bool Changed() const override { return false; }  // a copy that nobody writes to

 private:
  const std::shared_ptr<ControllerLink> link_;
  const std::shared_ptr<MediaCache> cache_;
  const std::string path_;
  const std::string version_;
  const std::stop_token stop_;
  Digest hash_;
  uint64_t size_ = 0;
  Fd file_;
};

class Fetched final : public ingest::MediaAccess {
 public:
  Fetched(std::shared_ptr<ControllerLink> link, std::shared_ptr<MediaCache> cache)
      : link_(std::move(link)), cache_(std::move(cache)) {}

  Result<std::unique_ptr<ingest::MediaFile>> Find(const ingest::PrepareJob& job,
                                                  std::stop_token stop) override {
    if (auto here = local_->Find(job, stop); here.ok()) return here;
    return std::unique_ptr<ingest::MediaFile>(
        std::make_unique<FetchedFile>(link_, cache_, job, std::move(stop)));
  }

  Result<Fd> OpenContent(const ingest::KnownContent& content, std::stop_token stop) override {
    if (auto here = local_->OpenContent(content, stop); here.ok()) return here;
    return cache_->Get(content.hash, content.size, [&](const std::string& part) {
      return link_->Download("/api/compute/content/" + content.hash.hex(), part, content.size,
                             stop);
    });
  }

 private:
  const std::unique_ptr<ingest::MediaAccess> local_ = ingest::LocalMedia();
  const std::shared_ptr<ControllerLink> link_;
  const std::shared_ptr<MediaCache> cache_;
};

}  // namespace

std::unique_ptr<ingest::MediaAccess> FetchedMedia(std::shared_ptr<ControllerLink> link,
                                                  std::shared_ptr<MediaCache> cache) {
  return std::make_unique<Fetched>(std::move(link), std::move(cache));
}

}  // namespace msearch::compute
