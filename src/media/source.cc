#include "media/source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace msearch::media {

Result<size_t> ReadAt(int fd, uint64_t offset, char* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(fd, out + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("read", errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Result<size_t> ReadAt(const MediaSource& source, uint64_t offset, char* out, size_t size) {
  if (source.fd >= 0) return ReadAt(source.fd, offset, out, size);
  return offset < source.memory.size() ? source.memory.copy(out, size, offset) : 0;
}

Result<std::string> ReadSource(const MediaSource& source, uint64_t bytes_max) {
  if (source.size > bytes_max) {
    return Error{Code::kTooLarge, "file: " + std::to_string(source.size) + " bytes, limit " +
                                      std::to_string(bytes_max)};
  }
  std::string bytes(source.size, '\0');
  bytes.resize(TRY(ReadAt(source, 0, bytes.data(), bytes.size())));
  return bytes;
}

}  // namespace msearch::media
