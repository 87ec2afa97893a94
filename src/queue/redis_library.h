// The functions that run in Redis (redis/*.lua), as one library named by what's in it, so that
// programs of different versions don't meet each other's.
#pragma once

#include <string_view>

namespace msearch::queue {

extern const std::string_view kRedisLibraryName;
extern const std::string_view kRedisLibrary;  // for FUNCTION LOAD

}  // namespace msearch::queue
