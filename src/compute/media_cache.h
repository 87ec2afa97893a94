// Media fetched from the controller, kept by content hash within a limit of bytes, for the
// processes of one compute server.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/result.h"

namespace msearch::compute {

// Thread-safe, and shared by processes. A file that somebody has open outlives its removal: what
// an open descriptor reads never changes and never ends early.
class MediaCache {
 public:
  // `owner` names this process among those that share the folder, the same after a restart.
  MediaCache(std::string directory, uint64_t bytes_max, std::string owner);

  // Writes the content to the file of this name, continuing what lies there.
  using Fill = std::function<Result<>(const std::string& path)>;
  // The content, from here or by `fill`. One that is larger than the whole cache isn't kept. When
  // there is no room for it everything that is kept goes, and `fill` is tried once more; then
  // kExhausted. kUnavailable when what came isn't what the hash says (it is thrown away), or when
  // this machine can't write at all.
  Result<Fd> Get(const Digest& hash, uint64_t size, const Fill& fill);
  // Only from here; kNotFound otherwise.
  Result<Fd> Find(const Digest& hash);
  uint64_t bytes_max() const { return bytes_max_; }
  // Why this machine can't take media for the moment, which is no fault of any file: told for a
  // minute after it was met, or until something could be fetched. Empty: nothing is wrong.
  std::string problem() const;

 private:
  Result<Fd> Fetch(const Digest& hash, uint64_t size, const Fill& fill);
  Result<> Write(const std::string& part, const Fill& fill);
  void MakeRoom(uint64_t bytes);
  void DropOwnParts();
  void Tell(const std::string& problem);  // empty: there is none
  std::string PathOf(const Digest& hash) const;

  const std::string directory_;
  const uint64_t bytes_max_;
  const std::string owner_;
  mutable std::mutex mutex_;
  std::string problem_;  // by mutex_
  SteadyTime met_at_{};  // by mutex_
};

}  // namespace msearch::compute
