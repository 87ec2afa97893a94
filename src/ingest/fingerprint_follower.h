// Keeps the fingerprints of all sounds in memory, in step with the catalog's change log.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "catalog/catalog.h"
#include "index/fingerprint_index.h"

namespace msearch::ingest {

// Thread-safe. Reads everything from the catalog when it starts, in the background.
class FingerprintFollower {
 public:
  explicit FingerprintFollower(const catalog::Catalog* catalog);
  ~FingerprintFollower();

  // By the id of the first segment of each sound.
  std::shared_ptr<const index::FingerprintIndex> index() const { return index_; }
  // Something was committed: look at the change log soon.
  void Poke();
  // True when everything that the catalog knew at this moment can be found.
  bool CaughtUp() const;

 private:
  void Run(std::stop_token stop);
  Result<> CatchUp(std::stop_token stop);

  const catalog::Catalog* const catalog_;
  const std::shared_ptr<index::FingerprintIndex> index_;

  mutable std::mutex mutex_;
  std::condition_variable_any poked_;
  bool poke_ = true;
  uint64_t position_ = 0;
  std::jthread thread_;
};

}  // namespace msearch::ingest
