#include "media/heif_library.h"

#include "base/strings.h"
#include "media/dynamic_library.h"

namespace msearch::media {
namespace {

Result<HeifLibrary> Load() {
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libheif.so.1"));
  HeifLibrary heif;
#define MSEARCH_HEIF_FIND(name)                                          \
  if (!library.Find(#name, heif.name)) {                                 \
    return Error{Code::kUnsupported, "libheif: has no function " #name}; \
  }
  MSEARCH_HEIF_FUNCTIONS(MSEARCH_HEIF_FIND)
#undef MSEARCH_HEIF_FIND
  const heif_error error = heif.heif_init(nullptr);
  if (error.code != heif_error_Ok) return Error{Code::kUnsupported, "libheif: can't be set up"};
  return heif;
}

}  // namespace

const Result<HeifLibrary>& Heif() {
  static const Result<HeifLibrary> library = Load();
  return library;
}

Result<> CheckHeif(const heif_error& error) {
  if (error.code == heif_error_Ok) return Ok{};
  Code code = Code::kCorrupt;
  if (error.code == heif_error_Unsupported_filetype || error.code == heif_error_Unsupported_feature)
    code = Code::kUnsupported;
  if (error.code == heif_error_Memory_allocation_error) code = Code::kTooLarge;
  return Error{code, "HEIF: " + SanitizeUtf8(error.message != nullptr ? error.message : "")};
}

}  // namespace msearch::media
