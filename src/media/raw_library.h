// LibRaw, loaded at run time (see dynamic_library.h): the raw files of cameras.
#pragma once

#include <libraw/libraw.h>

#include "base/result.h"

namespace msearch::media {

struct RawLibrary {
#define MSEARCH_RAW_FUNCTIONS(X) \
  X(libraw_close)                \
  X(libraw_dcraw_clear_mem)      \
  X(libraw_dcraw_make_mem_image) \
  X(libraw_dcraw_make_mem_thumb) \
  X(libraw_dcraw_process)        \
  X(libraw_init)                 \
  X(libraw_open_buffer)          \
  X(libraw_strerror)             \
  X(libraw_unpack)               \
  X(libraw_unpack_thumb)
#define MSEARCH_RAW_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_RAW_FUNCTIONS(MSEARCH_RAW_MEMBER)
#undef MSEARCH_RAW_MEMBER
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<RawLibrary>& Raw();

}  // namespace msearch::media
