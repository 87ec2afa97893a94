// `pending_` holds what no state has consumed. Every part ends with "\r\n--boundary"; the body is
// handed on except for its last bytes, which may be the beginning of that delimiter. A line break
// is put in front of the whole body, so that the first boundary looks like all others.
#include "net/multipart.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/strings.h"

namespace msearch::net {
namespace {

constexpr size_t kPartsMax = 1000;
constexpr size_t kPartHeaderBytesMax = 8 << 10;
constexpr size_t kPreambleBytesMax = 8 << 10;
constexpr size_t kBoundaryBytesMax = 200;

Error Broken(std::string_view fault) {
  return {Code::kInvalid, "multipart body: " + std::string(fault)};
}

}  // namespace

Result<SpooledFile> SpooledFile::Create(const std::string& directory) {
  std::error_code ignored;
  std::string folder =
      directory.empty() ? std::filesystem::temp_directory_path(ignored).string() : directory;
  std::string path = folder + "/upload-XXXXXX";
  int fd = mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoError(folder, errno);
  return SpooledFile(Fd(fd), std::move(path));
}

SpooledFile::SpooledFile(SpooledFile&& other) noexcept
    : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}

SpooledFile::~SpooledFile() {
  if (!path_.empty()) unlink(path_.c_str());
}

std::string HeaderParameter(std::string_view header, std::string_view key) {
  size_t at = header.find(';');
  while (at < header.size()) {
    std::string_view rest = Trim(header.substr(at + 1));
    size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return "";
    std::string_view name = Trim(rest.substr(0, equals));
    rest = Trim(rest.substr(equals + 1));
    std::string value;
    size_t end = 0;
    if (rest.starts_with('"')) {
      for (end = 1; end < rest.size() && rest[end] != '"'; ++end) {
        // Browsers escape quotes as %22, others as \"; a lone backslash belongs to the name.
        if (rest.substr(end, 2) == "\\\"") ++end;
        value.push_back(rest[end]);
      }
    } else {
      end = std::min(rest.find(';'), rest.size());
      value = Trim(rest.substr(0, end));
    }
    if (AsciiLower(name) == key) return value;
    at = rest.find(';', end);
    header = rest;
  }
  return "";
}

Result<MultipartReader> MultipartReader::Start(std::string_view content_type, Options options) {
  std::string boundary = HeaderParameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > kBoundaryBytesMax) return Broken("no usable boundary");
  return MultipartReader("\r\n--" + boundary, std::move(options));
}

MultipartReader::MultipartReader(std::string delimiter, Options options)
    : delimiter_(std::move(delimiter)), options_(std::move(options)), pending_("\r\n") {}

Result<> MultipartReader::Feed(std::string_view bytes) {
  if (state_ == State::kDone) return Ok{};
  pending_.append(bytes);
  while (TRY(Step())) {
  }
  return Ok{};
}

Result<bool> MultipartReader::Step() {
  switch (state_) {
    case State::kPreamble:
      return StepPreamble();
    case State::kDelimiter:
      return StepDelimiter();
    case State::kHeaders:
      return StepHeaders();
    case State::kBody:
      return StepBody();
    case State::kDone:
      break;
  }
  pending_.clear();
  return false;
}

Result<bool> MultipartReader::StepPreamble() {
  size_t found = pending_.find(delimiter_);
  if (found == std::string::npos) {
    if (pending_.size() > kPreambleBytesMax) return Broken("does not begin with its boundary");
    return false;
  }
  pending_.erase(0, found + delimiter_.size());
  state_ = State::kDelimiter;
  return true;
}

Result<bool> MultipartReader::StepDelimiter() {
  size_t blank = pending_.find_first_not_of(" \t");
  if (blank == std::string::npos || pending_.size() < blank + 2) {
    if (pending_.size() > kPartHeaderBytesMax) return Broken("garbage after a boundary");
    return false;
  }
  std::string_view next = std::string_view(pending_).substr(blank, 2);
  if (next != "--" && next != "\r\n") return Broken("garbage after a boundary");
  state_ = next == "--" ? State::kDone : State::kHeaders;
  // The line break stays: it makes the end of an empty header block look like that of any other.
  pending_.erase(0, blank);
  return true;
}

Result<bool> MultipartReader::StepHeaders() {
  size_t end = pending_.find("\r\n\r\n");
  if (std::min(end, pending_.size()) > kPartHeaderBytesMax) return Broken("part header too large");
  if (end == std::string::npos) return false;
  if (fields_.size() == kPartsMax) return Broken("too many parts");
  FormField field;
  bool named = false;
  for (std::string_view line : Split(std::string_view(pending_).substr(0, end), '\n')) {
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string name = AsciiLower(Trim(line.substr(0, colon)));
    std::string_view value = Trim(line.substr(colon + 1));
    if (name == "content-disposition") {
      field.name = SanitizeUtf8(HeaderParameter(value, "name"));
      field.file_name = SanitizeUtf8(HeaderParameter(value, "filename"));
      named = true;
    } else if (name == "content-type") {
      field.content_type = SanitizeUtf8(value);
    }
  }
  if (!named) return Broken("part without content-disposition");
  fields_.push_back(std::move(field));
  pending_.erase(0, end + 4);
  state_ = State::kBody;
  return true;
}

Result<bool> MultipartReader::StepBody() {
  size_t found = pending_.find(delimiter_);
  size_t ready = found != std::string::npos             ? found
                 : pending_.size() >= delimiter_.size() ? pending_.size() - delimiter_.size() + 1
                                                        : 0;
  if (ready > 0) {
    TRY(Store(std::string_view(pending_).substr(0, ready)));
    pending_.erase(0, ready);
  }
  if (found == std::string::npos) return false;
  pending_.erase(0, delimiter_.size());
  state_ = State::kDelimiter;
  return true;
}

Result<> MultipartReader::Store(std::string_view bytes) {
  FormField& field = fields_.back();
  if (field.spooled_path.empty()) {
    if (field.value.size() + bytes.size() <= options_.memory_bytes_max) {
      field.value.append(bytes);
      return Ok{};
    }
    files_.push_back(TRY(SpooledFile::Create(options_.spool_directory)));
    field.spooled_path = files_.back().path();
    TRY(files_.back().Append(field.value));
    field.value = {};
  }
  return files_.back().Append(bytes);
}

Result<std::vector<FormField>> MultipartReader::Finish() {
  if (state_ != State::kDone) return Broken("ends before its last boundary");
  return std::move(fields_);
}

}  // namespace msearch::net
