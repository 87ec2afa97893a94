// Media fetched from the controller, kept by content hash within a limit of bytes, for the
// processes of one compute server.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

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
  // The content, from here or by `fill`. kTooLarge when it is larger than the whole cache,
  // kUnavailable when what came isn't what the hash says (it is thrown away).
  Result<Fd> Get(const Digest& hash, uint64_t size, const Fill& fill);
  // Only from here; kNotFound otherwise.
  Result<Fd> Find(const Digest& hash);
  uint64_t bytes_max() const { return bytes_max_; }

 private:
  void MakeRoom(uint64_t bytes);
  std::string PathOf(const Digest& hash) const;

  const std::string directory_;
  const uint64_t bytes_max_;
  const std::string owner_;
};

}  // namespace msearch::compute
