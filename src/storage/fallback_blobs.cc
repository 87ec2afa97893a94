#include "storage/fallback_blobs.h"

#include <mutex>
#include <set>

namespace msearch::storage {
namespace {

constexpr size_t kRememberedMax = 10000;

class FallbackBlobs final : public BlobStore {
 public:
  FallbackBlobs(std::unique_ptr<BlobStore> first, std::unique_ptr<BlobStore> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  Result<std::string> Put(std::string_view bytes) override {
    auto id = first_->Put(bytes);
    if (id.ok() || id.code() != Code::kUnavailable) return id;
    auto behind = second_->Put(bytes);
    if (behind.ok()) Remember(*behind);
    return behind;
  }

  Result<std::string> Get(const std::string& id) const override {
    auto bytes = first_->Get(id);
    const bool elsewhere =
        !bytes.ok() && (bytes.code() == Code::kNotFound || bytes.code() == Code::kUnavailable);
    if (!elsewhere) return bytes;
    auto behind = second_->Get(id);
    if (behind.ok()) Remember(id);
    // Lost is only what neither has: a first one that is away may still have it.
    const bool unsure =
        !behind.ok() && behind.code() == Code::kNotFound && bytes.code() == Code::kUnavailable;
    return unsure ? bytes : behind;
  }

  // What this process hasn't met in the second isn't looked for there: that may be a machine away,
  // and old blobs go by themselves.
  void Remove(const std::string& id) override {
    {
      const std::lock_guard lock(mutex_);
      if (behind_.erase(id) == 0) return first_->Remove(id);
    }
    second_->Remove(id);
  }
  uint64_t bytes() const override { return first_->bytes(); }
  uint64_t bytes_max() const override { return first_->bytes_max(); }

  Result<int> RemoveOlderThan(Milliseconds age) override {
    auto removed = first_->RemoveOlderThan(age);
    const int more = TRY(second_->RemoveOlderThan(age));
    if (!removed.ok() && removed.code() != Code::kUnavailable) return removed;
    return more + (removed.ok() ? *removed : 0);
  }

 private:
  void Remember(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    if (behind_.size() == kRememberedMax) behind_.clear();
    behind_.insert(id);
  }

  const std::unique_ptr<BlobStore> first_;
  const std::unique_ptr<BlobStore> second_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> behind_;  // by mutex_: ids met in the second
};

}  // namespace

std::unique_ptr<BlobStore> WithFallback(std::unique_ptr<BlobStore> first,
                                        std::unique_ptr<BlobStore> second) {
  return std::make_unique<FallbackBlobs>(std::move(first), std::move(second));
}

}  // namespace msearch::storage
