// Files without a place on disk.
#pragma once

#include <string_view>

#include "base/file.h"

namespace msearch::test {

// An open file with these bytes, in memory.
Fd MemoryFile(std::string_view bytes);

}  // namespace msearch::test
