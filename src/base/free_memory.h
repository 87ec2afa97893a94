// What the allocator keeps back.
#pragma once

namespace msearch {

// Gives the system what was freed but is kept for later, which after large models is most of it.
// Takes milliseconds for each hundred megabytes. Thread-safe.
void ReturnFreeMemory();

}  // namespace msearch
