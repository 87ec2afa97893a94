#include "daemon/machine_queue.h"

#include <condition_variable>
#include <mutex>

#include "base/file.h"
#include "base/log.h"
#include "daemon/stores.h"
#include "ingest/capability.h"
#include "ingest/pipeline.h"

namespace msearch::daemon {
namespace {

// A compute server without its queue has nothing to do but wait for it.
Result<std::shared_ptr<queue::TaskQueue>> AwaitServer(const RoleProcess& process,
                                                      const std::stop_token& stop) {
  for (bool told = false;; told = true) {
    auto queue = OpenQueue(process.settings, process.layout);
    if (queue.ok() || queue.code() != Code::kUnavailable || stop.stop_requested()) return queue;
    if (!told) {
      LOG_WARNING("{}; waiting for it", queue.message());
      TellWaiting(process, queue.message());
    }
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, std::chrono::seconds(1),
                                           [] { return false; });
  }
}

}  // namespace

Result<MachineQueue> OpenMachineQueue(const RoleProcess& process, const std::string& library,
                                      const std::stop_token& stop) {
  const Settings& settings = process.settings;
  const auto redis = RedisOptions(settings);
  MachineQueue out;
  if (!settings.Text("compute.controller").empty()) {
    out.queue = TRY(AwaitServer(process, stop));
    return out;
  }
  queue::EmbeddedOptions embedded;
  embedded.path = process.layout.queue;
  embedded.library = library;
  std::shared_ptr<queue::TaskQueue> local = TRY(queue::OpenEmbeddedQueue(embedded));
  if (!redis) {
    out.queue = std::move(local);
    return out;
  }
  queue::FailoverOptions options;
  // All processes of a machine see the same server: one of them tells.
  queue::RedisQueueOptions server = *redis;
  const bool owner = !library.empty();
  server.warns = owner;
  if (owner) server.library = {library, process.layout.data + " on " + process.info.host};
  options.open_shared = [redis = std::move(server)]() -> Result<std::shared_ptr<queue::TaskQueue>> {
    return std::shared_ptr<queue::TaskQueue>(TRY(queue::OpenRedisQueue(redis)));
  };
  options.local = std::move(local);
  // The monitor and the catalog are of this machine, and so is what they tell each other.
  options.local_queues = {std::string(ingest::kScanQueue), std::string(ingest::kChangesQueue)};
  for (const auto& names : {ingest::PrepareQueues(), ingest::ReadQueues()}) {
    options.rebuilt.insert(names.begin(), names.end());
  }
  options.state_path = QueueStatePath(process.layout);
  options.owner = owner;
  options.fall_back = settings.Boolean("redis.fallback");
  options.server = QueuePlace(settings);
  options.patience = Milliseconds(settings.Integer("redis.fallback_after_ms"));
  out.failover = TRY(queue::FailoverQueue::Open(options));
  out.queue = out.failover;
  return out;
}

std::string QueuePlace(const Settings& settings) {
  if (!RedisOptions(settings)) return "embedded";
  if (settings.Text("redis.host").empty()) {
    return "Redis of the sentinels " + settings.Text("redis.sentinels");
  }
  const std::string host = settings.Text("redis.host");
  if (host.find_first_of(",:") != std::string::npos) return "Redis at " + host;
  return fmt::format("Redis at {}:{}", host, settings.Integer("redis.port"));
}

std::string WorksHerePath(const Layout& layout) { return layout.run + "/works-here"; }

std::string QueueStatePath(const Layout& layout) { return layout.run + "/queue-state.json"; }

bool WorksLocally(const Layout& layout) {
  const std::string text = ReadFile(QueueStatePath(layout), 1 << 16).value_or("");
  const std::string state =
      GetString(ParseJson(text).value_or(Json::object()), "state").value_or("shared");
  return state != "shared";
}

}  // namespace msearch::daemon
