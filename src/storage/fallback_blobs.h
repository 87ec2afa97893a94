// A store of blobs with another behind it, for when the first can't be reached.
#pragma once

#include <memory>

#include "storage/blob_store.h"

namespace msearch::storage {

// New blobs go to the first; to the second only while the first is away (kUnavailable). Ids are
// looked for in both, so what was stored meanwhile stays readable. The budget is the first's.
std::unique_ptr<BlobStore> WithFallback(std::unique_ptr<BlobStore> first,
                                        std::unique_ptr<BlobStore> second);

}  // namespace msearch::storage
