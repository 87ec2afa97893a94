#include "daemon/celery_tasks.h"

#include "base/log.h"
#include "base/strings.h"
#include "daemon/stores.h"

namespace msearch::daemon {
namespace {

// The picture is the only argument, whatever its name.
Result<std::string> PictureOf(const celery::Call& call) {
  if (call.args.size() + call.kwargs.size() != 1) {
    return Error{Code::kInvalid, call.task + ": takes one argument, a picture in base64"};
  }
  const Json& text = call.args.empty() ? *call.kwargs.begin() : call.args[0];
  std::optional<std::string> bytes;
  if (text.is_string()) bytes = Base64Decode(text.get_ref<const std::string&>());
  if (!bytes) return Error{Code::kInvalid, call.task + ": its argument is no base64"};
  return *std::move(bytes);
}

Result<Json> VectorOf(const celery::Call& call, ingest::Library& library,
                      ingest::FeatureExtractor& features, size_t bytes_max, Milliseconds timeout,
                      const std::stop_token& stop) {
  std::string picture = TRY(PictureOf(call));
  if (picture.size() > bytes_max) {
    return Error{Code::kTooLarge, "picture: larger than server.upload_bytes_max"};
  }
  const auto model = library.EmbedsWith();
  if (!model) return Error{Code::kUnavailable, "features: no model that sees pictures is ready"};
  const auto answers =
      features.Extract({{"picture", [&]() -> Result<std::string> { return std::move(picture); }}},
                       *model, timeout, stop);
  if (!answers[0].ok()) return answers[0].error();
  if (answers[0]->empty() || answers[0]->front().views.empty()) {
    return Error{Code::kUnsupported, "picture: no picture is in it"};
  }
  return Json(answers[0]->front().views[0]);
}

}  // namespace

Result<std::unique_ptr<celery::Gateway>> StartCelery(
    const RoleProcess& process, const std::string& library_id,
    std::shared_ptr<ingest::Library> library, std::shared_ptr<ingest::FeatureExtractor> features) {
  const Settings& settings = process.settings;
  celery::GatewayOptions options;
  options.queue = settings.Text("celery.queue");
  if (options.queue.empty()) return std::unique_ptr<celery::Gateway>();
  const auto redis = RedisOptions(settings);
  if (!redis) {
    return Error{Code::kInvalid, "celery.queue: wants the Redis server of redis.host"};
  }
  options.server = redis->server;
  options.name = library_id;
  options.result_ttl = Milliseconds(1000 * settings.Integer("celery.result_seconds"));
  const auto bytes_max = static_cast<size_t>(settings.Integer("server.upload_bytes_max"));
  options.message_bytes_max = 2 * bytes_max + (1 << 20);  // base64, twice
  options.ready = [library] {
    const auto model = library->EmbedsWith();
    return model && model->image.width > 0;
  };
  const Milliseconds timeout(1000 * settings.Integer("celery.timeout"));
  auto embed = [library, features, bytes_max, timeout](const celery::Call& call,
                                                       const std::stop_token& stop) {
    return VectorOf(call, *library, *features, bytes_max, timeout, stop);
  };
  LOG_INFO("celery: answers generate_embeddings_task of the queue {}", options.queue);
  return celery::Gateway::Start(options, {{"generate_embeddings_task", std::move(embed)}});
}

}  // namespace msearch::daemon
