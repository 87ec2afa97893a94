#include "support/memory_file.h"

#include <sys/mman.h>

#include <cstdlib>

namespace msearch::test {

Fd MemoryFile(std::string_view bytes) {
  Fd fd(memfd_create("test", MFD_CLOEXEC));
  if (!fd.valid() || !WriteAll(fd.get(), bytes).ok()) std::abort();
  return fd;
}

}  // namespace msearch::test
