// Tasks that Python programs send with Celery, answered by the workers.
#pragma once

#include <memory>
#include <string>

#include "celery/gateway.h"
#include "daemon/process.h"
#include "ingest/features.h"
#include "ingest/library.h"

namespace msearch::daemon {

// Null when no celery.queue is set. kInvalid when there is one but no Redis. `library_id` names
// the gateway.
Result<std::unique_ptr<celery::Gateway>> StartCelery(
    const RoleProcess& process, const std::string& library_id,
    std::shared_ptr<ingest::Library> library, std::shared_ptr<ingest::FeatureExtractor> features);

}  // namespace msearch::daemon
