// Media access of a compute server: the file itself where its path opens and has the job's size
// and time (a share that both machines mount), else the controller's copy of it.
#pragma once

#include <memory>

#include "compute/controller_link.h"
#include "compute/media_cache.h"
#include "ingest/media_access.h"

namespace msearch::compute {

std::unique_ptr<ingest::MediaAccess> FetchedMedia(std::shared_ptr<ControllerLink> link,
                                                  std::shared_ptr<MediaCache> cache);

}  // namespace msearch::compute
