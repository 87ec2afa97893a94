// Blobs in Redis, for processes of several machines.
#pragma once

#include <memory>
#include <string>

#include "storage/blob_store.h"
#include "storage/redis.h"

namespace msearch::storage {

struct RedisBlobOptions {
  std::string prefix;  // before every key; in a cluster with the hash tag of everything else
  uint64_t bytes_max = uint64_t{256} << 20;
  Milliseconds ttl{2 * 3600 * 1000};  // then Redis drops it by itself
};
std::unique_ptr<BlobStore> OpenRedisBlobStore(std::shared_ptr<Redis> redis,
                                              const RedisBlobOptions& options);

}  // namespace msearch::storage
