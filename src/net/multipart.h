// multipart/form-data (RFC 7578), read piece by piece as it arrives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "net/http_server.h"

namespace msearch::net {

// A temporary file that disappears with its owner.
class SpooledFile {
 public:
  // In `directory`; kExhausted and the like when the disk says no.
  static Result<SpooledFile> Create(const std::string& directory);
  SpooledFile(SpooledFile&& other) noexcept;
  SpooledFile& operator=(SpooledFile&&) = delete;
  ~SpooledFile();
  Result<> Append(std::string_view bytes) { return WriteAll(fd_.get(), bytes); }
  const std::string& path() const { return path_; }

 private:
  SpooledFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

// Not thread-safe. The caller bounds the sum of what it feeds; this bounds the number of parts
// and the size of their headers.
class MultipartReader {
 public:
  struct Options {
    uint64_t memory_bytes_max = 32 << 20;  // of one part; beyond: spooled
    std::string spool_directory;
  };
  // From the request's content type; kInvalid without a usable boundary.
  static Result<MultipartReader> Start(std::string_view content_type, Options options);

  // After an error the reader is of no further use.
  Result<> Feed(std::string_view bytes);
  // kInvalid when the body ended before its last boundary. REQUIRES: called once, last.
  Result<std::vector<FormField>> Finish();
  // The files that the fields name. REQUIRES: Finish succeeded.
  std::vector<SpooledFile> TakeFiles() { return std::move(files_); }

 private:
  enum class State { kPreamble, kDelimiter, kHeaders, kBody, kDone };
  MultipartReader(std::string delimiter, Options options);
  // True when the state moved on, false when more bytes are needed.
  Result<bool> Step();
  Result<bool> StepPreamble();
  Result<bool> StepDelimiter();
  Result<bool> StepHeaders();
  Result<bool> StepBody();
  Result<> Store(std::string_view bytes);

  std::string delimiter_;  // "\r\n--boundary"
  Options options_;
  State state_ = State::kPreamble;
  std::string pending_;
  std::vector<FormField> fields_;
  std::vector<SpooledFile> files_;
};

// The value of `key` in "form-data; name=\"a\"; filename=\"b\""; empty when absent.
std::string HeaderParameter(std::string_view header, std::string_view key);

}  // namespace msearch::net
