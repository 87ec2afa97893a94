#include "daemon/stores.h"

#include "storage/fallback_blobs.h"
#include "storage/redis_blob_store.h"

namespace msearch::daemon {

std::optional<queue::RedisQueueOptions> RedisOptions(const Settings& settings) {
  queue::RedisQueueOptions options;
  storage::RedisOptions& server = options.server;
  server.host = settings.Text("redis.host");
  server.sentinels = settings.Text("redis.sentinels");
  if (server.host.empty() && server.sentinels.empty()) return std::nullopt;
  server.port = static_cast<int>(settings.Integer("redis.port"));
  server.db = static_cast<int>(settings.Integer("redis.db"));
  server.user = settings.Text("redis.user");
  server.password = settings.Text("redis.password");
  server.tls = settings.Boolean("redis.tls");
  server.ca_file = settings.Text("redis.ca_file");
  server.certificate_file = settings.Text("redis.certificate_file");
  server.key_file = settings.Text("redis.key_file");
  server.sentinel_master = settings.Text("redis.sentinel_master");
  server.sentinel_password = settings.Text("redis.sentinel_password");
  options.prefix = settings.Text("redis.prefix");
  // Maintenance removes results in time; this holds when there is none.
  options.result_ttl = Milliseconds(2 * 1000 * settings.Integer("queue.retention_seconds"));
  return options;
}

Result<std::shared_ptr<queue::TaskQueue>> OpenQueue(const Settings& settings,
                                                    const Layout& layout) {
  if (const auto redis = RedisOptions(settings)) {
    return std::shared_ptr<queue::TaskQueue>(TRY(queue::OpenRedisQueue(*redis)));
  }
  queue::EmbeddedOptions options;
  options.path = layout.queue;
  return std::shared_ptr<queue::TaskQueue>(TRY(queue::OpenEmbeddedQueue(options)));
}

Result<std::shared_ptr<storage::BlobStore>> OpenBlobsInRedis(
    const Settings& settings, std::unique_ptr<storage::BlobStore> behind) {
  const auto redis = RedisOptions(settings);
  if (!redis) return Error{Code::kInvalid, "blobs.in_redis: there is no Redis; set redis.host"};
  storage::RedisOptions server = redis->server;
  server.route_key = redis->prefix + "blobs:bytes";
  storage::RedisBlobOptions options;
  options.prefix = redis->prefix;
  options.bytes_max = static_cast<uint64_t>(settings.Integer("blobs.bytes_max"));
  const auto connection = TRY(storage::Redis::Make(server));
  // What only people can change is told now; a server that is away is nothing new.
  const auto probe =
      connection->Ask(storage::RedisCommand("EVAL").Add("return 1").Add(1).Add(server.route_key));
  if (!probe.ok() && probe.code() == Code::kPermission) return probe.error();
  auto store = storage::OpenRedisBlobStore(connection, options);
  return std::shared_ptr<storage::BlobStore>(
      storage::WithFallback(std::move(store), std::move(behind)));
}

Result<std::shared_ptr<storage::BlobStore>> OpenBlobs(const Settings& settings,
                                                      const Layout& layout) {
  auto files = TRY(storage::OpenFileBlobStore(
      layout.blobs, static_cast<uint64_t>(settings.Integer("blobs.bytes_max"))));
  if (settings.Boolean("blobs.in_redis")) return OpenBlobsInRedis(settings, std::move(files));
  return std::shared_ptr<storage::BlobStore>(std::move(files));
}

}  // namespace msearch::daemon
