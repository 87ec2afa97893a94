#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/strings.h"

namespace msearch {

void Fd::Reset() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

Result<Fd> OpenFile(const std::string& path, int flags, unsigned mode) {
  int fd = -1;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoError(path, errno);
  if ((flags & O_NONBLOCK) == 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return Fd(fd);
}

Result<std::string> ReadFile(const std::string& path, uint64_t bytes_max) {
  const Fd fd = TRY(OpenFile(path, O_RDONLY));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoError(path, errno);
  if (S_ISDIR(info.st_mode)) return Error{Code::kInvalid, path + ": is a directory"};
  std::string out;
  if (S_ISREG(info.st_mode)) {
    if (static_cast<uint64_t>(info.st_size) > bytes_max) {
      return Error{Code::kTooLarge, path + ": larger than " + std::to_string(bytes_max) + " bytes"};
    }
    out.reserve(static_cast<size_t>(info.st_size) + 1);
  }
  size_t size = 0;
  while (true) {
    out.resize(std::max<size_t>(size + (1 << 16), out.capacity()));
    const ssize_t got = read(fd.get(), out.data() + size, out.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(path, errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
    if (size > bytes_max) {
      return Error{Code::kTooLarge, path + ": larger than " + std::to_string(bytes_max) + " bytes"};
    }
  }
  out.resize(size);
  return out;
}

Result<> WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoError("write", errno);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return Ok{};
}

Result<> WriteFileAtomically(const std::string& path, std::string_view bytes, bool durable) {
  const std::string temporary = path + ".tmp-" + HexEncode(RandomBytes(6));
  Result<> written = [&]() -> Result<> {
    const Fd fd = TRY(OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL));
    TRY(WriteAll(fd.get(), bytes));
    if (durable && fdatasync(fd.get()) != 0) return ErrnoError(temporary, errno);
    if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoError(path, errno);
    if (durable) {
      const Fd directory =
          TRY(OpenFile(std::filesystem::path(path).parent_path().string(), O_RDONLY | O_DIRECTORY));
      if (fsync(directory.get()) != 0) return ErrnoError(path, errno);
    }
    return Ok{};
  }();
  if (!written.ok()) {
    unlink(temporary.c_str());
    return Error{written.code(), path + ": " + written.message()};
  }
  return written;
}

Result<Fd> LockFile(const std::string& path) {
  Fd fd = TRY(OpenFile(path, O_RDWR | O_CREAT));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Error{Code::kConflict, path + ": held by another process"};
    return ErrnoError(path, errno);
  }
  return fd;
}

std::string ProgramPath() {
  constexpr std::string_view kDeleted = " (deleted)";
  std::error_code error;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", error).string();
  // The kernel's remark when the file is gone; it may be part of the name of one that isn't.
  if (path.ends_with(kDeleted) && access(path.c_str(), F_OK) != 0) {
    path.resize(path.size() - kDeleted.size());
  }
  return path;
}

std::string ProgramDirectory() {
  return std::filesystem::path(ProgramPath()).parent_path().string();
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "msearch-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) abort();
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace msearch
