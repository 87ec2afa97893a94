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
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  for (const catalog::Root& root : TRY(catalog.Roots())) {
    const auto prefix = root.path + "/";
    if (!error && real.string().starts_with(prefix)) return OpenFile(real.string(), O_RDONLY);
    // Whether something exists outside the roots is nobody's business.
    if (error && fs::path(path).lexically_normal().string().starts_with(prefix)) {
      return Error{Code::kNotFound, path + ": " + error.message()};
    }
  }
  return outside;
}

}  // namespace msearch::api
