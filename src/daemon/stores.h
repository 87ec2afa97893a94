// What the processes of a system share, opened as the settings say.
#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "daemon/layout.h"
#include "daemon/settings.h"
#include "queue/redis_queue.h"
#include "queue/task_queue.h"
#include "storage/blob_store.h"

namespace msearch::daemon {

// How to reach Redis; nothing when the queue is the embedded one (no redis.host, no sentinels).
std::optional<queue::RedisQueueOptions> RedisOptions(const Settings& settings);

// The queue in Redis if there is one, else the one in the data folder. kUnavailable when Redis is
// away: nothing else is opened instead.
Result<std::shared_ptr<queue::TaskQueue>> OpenQueue(const Settings& settings, const Layout& layout);

// Blobs in Redis, with `behind` for when it's away.
Result<std::shared_ptr<storage::BlobStore>> OpenBlobsInRedis(
    const Settings& settings, std::unique_ptr<storage::BlobStore> behind);
// As the controller's machine has them: files, or with blobs.in_redis in Redis.
Result<std::shared_ptr<storage::BlobStore>> OpenBlobs(const Settings& settings,
                                                      const Layout& layout);

}  // namespace msearch::daemon
