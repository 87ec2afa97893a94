// libvips, loaded at run time (see dynamic_library.h), and set up for decoding files that nobody
// vouches for: without its plug-ins (ImageMagick, poppler, OpenSlide), with every loader blocked
// but those of PNG, WebP, GIF and TIFF, one thread, no cache, nothing on disk.
#pragma once

#include <vips/vips.h>

// Needs the one above.
#include <vips/vector.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace msearch::media {

struct VipsLibrary {
#define MSEARCH_VIPS_FUNCTIONS(X)    \
  X(g_free)                          \
  X(g_object_unref)                  \
  X(vips_area_unref)                 \
  X(vips_array_double_newv)          \
  X(vips_block_untrusted_set)        \
  X(vips_cache_set_max)              \
  X(vips_cast)                       \
  X(vips_colourspace)                \
  X(vips_concurrency_set)            \
  X(vips_copy)                       \
  X(vips_error_buffer)               \
  X(vips_error_clear)                \
  X(vips_extract_band)               \
  X(vips_flatten)                    \
  X(vips_image_get_blob)             \
  X(vips_image_get_bands)            \
  X(vips_image_get_height)           \
  X(vips_image_get_int)              \
  X(vips_image_get_typeof)           \
  X(vips_image_get_width)            \
  X(vips_image_hasalpha)             \
  X(vips_image_new_from_buffer)      \
  X(vips_image_new_from_memory_copy) \
  X(vips_image_set_blob_copy)        \
  X(vips_image_write_to_buffer)      \
  X(vips_image_write_to_memory)      \
  X(vips_init)                       \
  X(vips_operation_block_set)        \
  X(vips_thumbnail_buffer)           \
  X(vips_vector_set_enabled)
#define MSEARCH_VIPS_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_VIPS_FUNCTIONS(MSEARCH_VIPS_MEMBER)
#undef MSEARCH_VIPS_MEMBER

  // The library's message about the last failure, on one line, and forgets it.
  std::string TakeError() const;
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<VipsLibrary>& Vips();

struct VipsRelease {
  void operator()(VipsImage* image) const { Vips()->g_object_unref(image); }
};
using VipsImagePtr = std::unique_ptr<VipsImage, VipsRelease>;

}  // namespace msearch::media
