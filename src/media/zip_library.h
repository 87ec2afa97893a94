// libzip, loaded at run time (see dynamic_library.h).
#pragma once

#include <zip.h>

#include "base/result.h"

namespace msearch::media {

struct ZipLibrary {
#define MSEARCH_ZIP_FUNCTIONS(X)    \
  X(zip_close)                      \
  X(zip_discard)                    \
  X(zip_error_fini)                 \
  X(zip_error_init)                 \
  X(zip_error_set)                  \
  X(zip_error_strerror)             \
  X(zip_error_to_data)              \
  X(zip_fclose)                     \
  X(zip_file_strerror)              \
  X(zip_fopen_index)                \
  X(zip_fread)                      \
  X(zip_get_name)                   \
  X(zip_get_num_entries)            \
  X(zip_name_locate)                \
  X(zip_open_from_source)           \
  X(zip_source_free)                \
  X(zip_source_function_create)     \
  X(zip_source_make_command_bitmap) \
  X(zip_source_seek_compute_offset) \
  X(zip_stat_index)                 \
  X(zip_stat_init)                  \
  X(zip_strerror)
#define MSEARCH_ZIP_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_ZIP_FUNCTIONS(MSEARCH_ZIP_MEMBER)
#undef MSEARCH_ZIP_MEMBER
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<ZipLibrary>& Zip();

}  // namespace msearch::media
