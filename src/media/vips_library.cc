#include "media/vips_library.h"

#include <cstdlib>

#include "base/strings.h"
#include "media/dynamic_library.h"

namespace msearch::media {
namespace {

void SetUp(const VipsLibrary& vips) {
  // The compiled resampling code of libvips needs memory that is writable and then executable,
  // which the sandbox forbids.
  vips.vips_vector_set_enabled(FALSE);
  vips.vips_concurrency_set(1);
  vips.vips_cache_set_max(0);
  vips.vips_block_untrusted_set(TRUE);
  vips.vips_operation_block_set("VipsForeignLoad", TRUE);
  for (const char* loader : {"VipsForeignLoadPng", "VipsForeignLoadWebp", "VipsForeignLoadNsgif",
                             "VipsForeignLoadTiff"}) {
    vips.vips_operation_block_set(loader, FALSE);
  }
}

Result<VipsLibrary> Load() {
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libvips.so.42"));
  VipsLibrary vips;
#define MSEARCH_VIPS_FIND(name)                                          \
  if (!library.Find(#name, vips.name)) {                                 \
    return Error{Code::kUnsupported, "libvips: has no function " #name}; \
  }
  MSEARCH_VIPS_FUNCTIONS(MSEARCH_VIPS_FIND)
#undef MSEARCH_VIPS_FIND
  // Plug-ins are sought below this folder; there are none. Pictures that libvips would otherwise
  // keep in temporary files stay in memory. Warnings about files are in the errors.
  setenv("VIPSHOME", "/nonexistent", 1);
  setenv("VIPS_DISC_THRESHOLD", "100g", 1);
  setenv("VIPS_WARNING", "0", 1);
  if (vips.vips_init("msearch") != 0) return Error{Code::kUnsupported, vips.TakeError()};
  SetUp(vips);
  return vips;
}

}  // namespace

std::string VipsLibrary::TakeError() const {
  std::string text;
  for (std::string_view line : Split(vips_error_buffer(), '\n')) {
    if (Trim(line).empty()) continue;
    if (!text.empty()) text += "; ";
    text += Trim(line);
  }
  vips_error_clear();
  return text.empty() ? "unknown fault" : SanitizeUtf8(TruncateUtf8(text, 500));
}

const Result<VipsLibrary>& Vips() {
  static const Result<VipsLibrary> library = Load();
  return library;
}

}  // namespace msearch::media
