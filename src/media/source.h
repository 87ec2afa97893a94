// The file that a codec child was given: a descriptor, never a path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msearch::media {

struct MediaSource {
  int fd = -1;
  std::string_view memory;  // instead of `fd`: made by this process from what it was given
  uint64_t size = 0;        // when it was opened; the file may change while it is read
  std::string_view name;    // a hint for text formats, and for messages
  std::string_view head;    // the first kHeadBytes, or all of a shorter file

  static constexpr size_t kHeadBytes = 4096;
};

// Up to `size` bytes at `offset`; fewer only at the end of the file.
Result<size_t> ReadAt(int fd, uint64_t offset, char* out, size_t size);
Result<size_t> ReadAt(const MediaSource& source, uint64_t offset, char* out, size_t size);

// The whole file in memory, not mapped: a mapped file that shrinks would kill the process.
// kTooLarge beyond `bytes_max`.
Result<std::string> ReadSource(const MediaSource& source, uint64_t bytes_max);

}  // namespace msearch::media
