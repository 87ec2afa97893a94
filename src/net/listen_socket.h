// TCP sockets that accept.
#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace msearch::net {

// Bound and listening, not blocking, closed on exec, with TCP_NODELAY for what it accepts. `host`
// is an address or a name; port 0 takes a free one. kConflict when the address is taken,
// kPermission, kInvalid for a host that is none of this machine's.
Result<Fd> ListenOn(const std::string& host, uint16_t port);

// The port that the socket is bound to. REQUIRES: from ListenOn.
uint16_t BoundPort(int fd);

}  // namespace msearch::net
