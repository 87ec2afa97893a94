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

// The wider cage of a child that has a packaged program read the file (tool.h), for itself and for
// the programs that it starts: they may open files below /usr, /lib and /etc for reading, as they
// need to start, and be executed. Neither they nor the child can reach the network, write to a
// file, open another one of the user's (Landlock, where the kernel has it), or touch other
// processes.
Result<> EnterToolSandbox();

}  // namespace msearch::media
