#include "daemon/library_guard.h"

#include "base/log.h"

namespace msearch::daemon {
namespace {

constexpr std::chrono::seconds kAskAgain{2};

}  // namespace

LibraryGuard::LibraryGuard(std::shared_ptr<storage::Redis> redis, std::string prefix,
                           std::string library)
    : redis_(std::move(redis)), prefix_(std::move(prefix)), library_(std::move(library)) {}

bool LibraryGuard::Ours() {
  const auto owner = queue::LibraryOf(*redis_, prefix_);
  const std::lock_guard lock(mutex_);
  asked_at_ = std::chrono::steady_clock::now();
  if (!owner.ok()) return problem_.empty();
  if (owner->id.empty() || owner->id == library_) {
    problem_.clear();
  } else {
    problem_ = fmt::format(
        "redis {}: its queue is that of another library ({}) than the controller's; set "
        "redis.host, "
        "redis.prefix and compute.controller to those of one",
        redis_->where(), owner->place);
  }
  return problem_.empty();
}

bool LibraryGuard::Ready() {
  {
    const std::lock_guard lock(mutex_);
    if (problem_.empty()) return true;
    if (std::chrono::steady_clock::now() - asked_at_ < kAskAgain) return false;
  }
  return Ours();
}

std::string LibraryGuard::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace msearch::daemon
