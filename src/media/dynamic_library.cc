#include "media/dynamic_library.h"

#include <dlfcn.h>

namespace msearch::media {

Result<DynamicLibrary> DynamicLibrary::Open(const std::string& file_name) {
  void* handle = dlopen(file_name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return Error{Code::kUnsupported, reason != nullptr ? reason : file_name + ": can't be loaded"};
  }
  return DynamicLibrary(handle);
}

void* DynamicLibrary::Symbol(const char* name) const { return dlsym(handle_, name); }

}  // namespace msearch::media
