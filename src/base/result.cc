#include "base/result.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace msearch {
namespace {

struct Name {
  Code code;
  std::string_view name;
  bool transient;
};

constexpr std::array kNames{
    Name{Code::kInvalid, "invalid", false},         Name{Code::kNotFound, "not_found", false},
    Name{Code::kConflict, "conflict", false},       Name{Code::kPermission, "permission", false},
    Name{Code::kUnsupported, "unsupported", false}, Name{Code::kCorrupt, "corrupt", false},
    Name{Code::kTooLarge, "too_large", false},      Name{Code::kStale, "stale", false},
    Name{Code::kCancelled, "cancelled", false},     Name{Code::kTimeout, "timeout", true},
    Name{Code::kUnavailable, "unavailable", true},  Name{Code::kExhausted, "exhausted", true},
    Name{Code::kCrashed, "crashed", true},          Name{Code::kInternal, "internal", true},
};

Code CodeOfErrno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermission;
    case EEXIST:
    case ENOTEMPTY:
      return Code::kConflict;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
      return Code::kInvalid;
    case EFBIG:
      return Code::kTooLarge;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return Code::kExhausted;
    case ETIMEDOUT:
      return Code::kTimeout;
    default:
      return Code::kUnavailable;
  }
}

}  // namespace

std::string_view CodeName(Code code) {
  for (const Name& entry : kNames) {
    if (entry.code == code) return entry.name;
  }
  return "internal";
}

Code CodeFromName(std::string_view name) {
  for (const Name& entry : kNames) {
    if (entry.name == name) return entry.code;
  }
  return Code::kInternal;
}

bool IsTransient(Code code) {
  for (const Name& entry : kNames) {
    if (entry.code == code) return entry.transient;
  }
  return true;
}

Error ErrnoError(std::string_view object, int error_number) {
  std::array<char, 128> buffer{};
  const char* text = strerror_r(error_number, buffer.data(), buffer.size());
  return Error{CodeOfErrno(error_number), std::string(object) + ": " + text};
}

}  // namespace msearch
