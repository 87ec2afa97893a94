// The cage of a codec child.
#pragma once

#include "base/result.h"

namespace msearch::media {

// For good: no new privileges, and only the system calls that computing on what was already opened
// and talking over `channel_fd` need. Everything else fails with EPERM: opening files, sockets,
// starting processes, executable memory, tracing. Threads may still be started. Memory, time and
// files are limited by the parent (rlimits).
// kUnsupported where the kernel has no seccomp filters.
Result<> EnterSandbox(int channel_fd);

}  // namespace msearch::media
