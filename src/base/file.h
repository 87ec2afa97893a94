// Files: owned descriptors, whole-file reads and atomic writes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace msearch {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { Reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

// O_CLOEXEC is always added. Never blocks on a FIFO (O_NONBLOCK is cleared again after opening).
Result<Fd> OpenFile(const std::string& path, int flags, unsigned mode = 0644);

// kTooLarge beyond `bytes_max`.
Result<std::string> ReadFile(const std::string& path, uint64_t bytes_max = uint64_t{1} << 32);
Result<> WriteAll(int fd, std::string_view bytes);

// Readers see the old content or the new, never a part: writes a temporary file beside `path`
// and renames it. `durable` also syncs file and directory.
Result<> WriteFileAtomically(const std::string& path, std::string_view bytes, bool durable = false);

// An advisory lock on `path`, held by one process at a time for as long as the Fd lives.
// kConflict when another process holds it.
Result<Fd> LockFile(const std::string& path);

// Where the running program lies, or lay before its file was replaced, and the folder of that.
std::string ProgramDirectory();
std::string ProgramPath();

// Removes the directory and everything in it when it goes. For tests and scratch work.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace msearch
