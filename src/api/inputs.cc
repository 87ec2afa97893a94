#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "api/route_table.h"

namespace msearch::api {

Result<Fd> MemoryFile(std::string_view bytes) {
  Fd file(memfd_create("upload", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoError("upload", errno);
  TRY(WriteAll(file.get(), bytes));
  return file;
}

Result<Fd> OpenInsideRoot(const catalog::Catalog& catalog, const std::string& path) {
  namespace fs = std::filesystem;
  const Error outside{Code::kPermission, path + ": not inside a root"};
  // A path with a zero byte would be opened by what stands before it.
  if (path.find('\0') != std::string::npos) {
    return Error{Code::kInvalid, "path: has a zero byte"};
  }
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  for (const catalog::Root& root : TRY(catalog.Roots())) {
    const auto prefix = root.path + "/";
    if (!error && real.string().starts_with(prefix)) {
      Fd file = TRY(OpenFile(real.string(), O_RDONLY));
      // A part of the path may have become a link since it was resolved.
      const fs::path opened =
          fs::read_symlink("/proc/self/fd/" + std::to_string(file.get()), error);
      return !error && opened.string().starts_with(prefix) ? Result<Fd>(std::move(file)) : outside;
    }
    // Whether something exists outside the roots is nobody's business.
    if (error && fs::path(path).lexically_normal().string().starts_with(prefix)) {
      return Error{Code::kNotFound, path + ": " + error.message()};
    }
  }
  return outside;
}

}  // namespace msearch::api
