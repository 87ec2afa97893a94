#include "ingest/fingerprint_follower.h"

#include "base/log.h"
#include "ingest/sound_spaces.h"

namespace msearch::ingest {

FingerprintFollower::FingerprintFollower(const catalog::Catalog* catalog)
    : catalog_(catalog),
      index_(std::make_shared<index::FingerprintIndex>()),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

FingerprintFollower::~FingerprintFollower() {
  thread_.request_stop();
  poked_.notify_all();
}

void FingerprintFollower::Poke() {
  {
    std::lock_guard lock(mutex_);
    poke_ = true;
  }
  poked_.notify_all();
}

bool FingerprintFollower::CaughtUp() const {
  const auto position = catalog_->Position(std::string(kFingerprintSpace));
  std::lock_guard lock(mutex_);
  return position.ok() && position_ >= *position;
}

void FingerprintFollower::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const Result<> done = CatchUp(stop);
    if (!done.ok()) LOG_ERROR("fingerprints: {}", done.message());
    std::unique_lock lock(mutex_);
    poked_.wait_for(lock, stop, std::chrono::seconds(5), [&] { return poke_; });
    poke_ = false;
  }
}

Result<> FingerprintFollower::CatchUp(std::stop_token stop) {
  // Of a sound of an hour a fingerprint has a quarter of a megabyte.
  constexpr size_t kPage = 50;
  uint64_t position = position_;  // written by this thread only
  while (!stop.stop_requested()) {
    bool restart = false;
    const auto changes =
        TRY(catalog_->ChangesFor(std::string(kFingerprintSpace), position, kPage, &restart));
    if (restart) index_->Clear();
    for (const catalog::IndexChange& change : changes) {
      if (change.removed || change.views.empty()) {
        index_->Remove(change.segment);
      } else {
        index_->Put(change.segment, UnpackFingerprint(change.views.front()));
      }
      position = change.position;
    }
    std::lock_guard lock(mutex_);
    position_ = position;
    if (changes.empty()) break;
  }
  return Ok{};
}

}  // namespace msearch::ingest
