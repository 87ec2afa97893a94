#include "base/free_memory.h"

#include <malloc.h>

namespace msearch {

void ReturnFreeMemory() { malloc_trim(0); }

}  // namespace msearch
