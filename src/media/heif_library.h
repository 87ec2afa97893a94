// libheif, loaded at run time (see dynamic_library.h): HEIC by libde265, AVIF by dav1d.
#pragma once

#include <libheif/heif.h>

#include <memory>

#include "base/result.h"

namespace msearch::media {

struct HeifLibrary {
#define MSEARCH_HEIF_FUNCTIONS(X)                     \
  X(heif_context_add_exif_metadata)                   \
  X(heif_context_alloc)                               \
  X(heif_context_encode_image)                        \
  X(heif_context_free)                                \
  X(heif_context_get_encoder_for_format)              \
  X(heif_context_get_image_handle)                    \
  X(heif_context_get_list_of_top_level_image_IDs)     \
  X(heif_context_get_number_of_top_level_images)      \
  X(heif_context_get_primary_image_ID)                \
  X(heif_context_get_primary_image_handle)            \
  X(heif_context_read_from_memory_without_copy)       \
  X(heif_context_set_max_decoding_threads)            \
  X(heif_context_write)                               \
  X(heif_decode_image)                                \
  X(heif_decoding_options_alloc)                      \
  X(heif_decoding_options_free)                       \
  X(heif_encoder_release)                             \
  X(heif_encoding_options_alloc)                      \
  X(heif_encoding_options_free)                       \
  X(heif_encoder_set_lossy_quality)                   \
  X(heif_image_add_plane)                             \
  X(heif_image_create)                                \
  X(heif_image_get_height)                            \
  X(heif_image_get_plane)                             \
  X(heif_image_get_plane_readonly)                    \
  X(heif_image_get_width)                             \
  X(heif_image_handle_get_height)                     \
  X(heif_image_handle_get_list_of_metadata_block_IDs) \
  X(heif_image_handle_get_metadata)                   \
  X(heif_image_handle_get_metadata_size)              \
  X(heif_image_handle_get_raw_color_profile)          \
  X(heif_image_handle_get_raw_color_profile_size)     \
  X(heif_image_handle_get_width)                      \
  X(heif_image_handle_release)                        \
  X(heif_image_release)                               \
  X(heif_init)
#define MSEARCH_HEIF_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_HEIF_FUNCTIONS(MSEARCH_HEIF_MEMBER)
#undef MSEARCH_HEIF_MEMBER
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<HeifLibrary>& Heif();

// The library's error as ours.
Result<> CheckHeif(const heif_error& error);

namespace heif {
using Context = std::unique_ptr<heif_context, decltype(&heif_context_free)>;
using Handle = std::unique_ptr<heif_image_handle, decltype(&heif_image_handle_release)>;
using Image = std::unique_ptr<heif_image, decltype(&heif_image_release)>;
using Encoder = std::unique_ptr<heif_encoder, decltype(&heif_encoder_release)>;
}  // namespace heif

}  // namespace msearch::media
