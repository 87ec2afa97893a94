// What the processes of a running msearch use, read from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

namespace msearch::bench {

struct RoleUse {
  int processes = 0;
  double processor_seconds = 0;  // user and system, since each process began
  uint64_t memory_bytes = 0;     // proportional set size
};

// By role: "controller", "codec", ..., "supervisor" for the process itself. What children used that
// have ended stands under "ended children of ROLE". The memory is read on request only: it is slow.
std::map<std::string, RoleUse> RolesUnder(pid_t supervisor, bool with_memory);

}  // namespace msearch::bench
