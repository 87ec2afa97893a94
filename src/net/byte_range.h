// Which part of a representation a conditional or ranged GET asks for (RFC 9110, 13 and 14).
#pragma once

#include <cstdint>
#include <string>

#include "net/http_server.h"

namespace msearch::net {

struct Selection {
  int status = 200;  // or 206, 304, 416
  uint64_t offset = 0;
  uint64_t size = 0;  // bytes from offset
};

// `etag` may be empty: then If-None-Match and If-Range never hold. Several ranges at once, or
// another unit than bytes, are answered with the whole.
Selection SelectBytes(const Request& request, const std::string& etag, uint64_t size);

// Whether the request's If-None-Match names `etag`.
bool IsUnchanged(const Request& request, const std::string& etag);

}  // namespace msearch::net
