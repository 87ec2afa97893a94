// Writes an index file.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "index/block.h"
#include "index/vector_index.h"

namespace msearch::index {

// Where the file is written before it takes its place; one that was left behind is overwritten.
std::string UnfinishedPath(const std::string& path);

// Writes all live segments of the snapshot in place of `path`, durably. kExhausted when the disk
// is full, kCorrupt when a vector to be copied is damaged: the old file stays after any error.
Result<> WriteIndexFile(const std::string& path, const IndexOptions& options,
                        const Snapshot& snapshot, uint64_t position);

}  // namespace msearch::index
