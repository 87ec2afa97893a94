// Libraries that only codec children need are loaded when a child starts, not by every process of
// the program: libvips and libheif bring a hundred others, which cost each process 20 ms and
// several megabytes. Their headers give the types; a table of functions is filled here.
#pragma once

#include <string>

#include "base/result.h"

namespace msearch::media {

class DynamicLibrary {
 public:
  // kUnsupported when it isn't installed. Never unloaded.
  static Result<DynamicLibrary> Open(const std::string& file_name);

  // Of the library or of one that it depends on. False when there is none of that name.
  template <typename Function>
  bool Find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(Symbol(name));
    return function != nullptr;
  }

 private:
  explicit DynamicLibrary(void* handle) : handle_(handle) {}
  void* Symbol(const char* name) const;

  void* handle_;
};

}  // namespace msearch::media
