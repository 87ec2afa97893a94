// The controller's blobs, from another machine: sent and fetched as they are, over HTTP.
#pragma once

#include <memory>

#include "compute/controller_link.h"
#include "storage/blob_store.h"

namespace msearch::compute {

std::unique_ptr<storage::BlobStore> OpenControllerBlobs(std::shared_ptr<ControllerLink> link);

}  // namespace msearch::compute
