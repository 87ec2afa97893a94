#include "celery/gateway.h"

#include <pthread.h>

#include <condition_variable>

#include "base/log.h"

namespace msearch::celery {
namespace {

using storage::Redis;
using storage::RedisCommand;
using storage::RedisReply;

constexpr int kWaitSeconds = 1;       // in the server; also how long a stop may take
constexpr Milliseconds kAgain{1000};  // after a server was away

std::string_view LastPart(std::string_view name) { return name.substr(name.rfind('.') + 1); }

}  // namespace

Gateway::Gateway(const GatewayOptions& options, std::map<std::string, Handler> handlers,
                 std::shared_ptr<Redis> redis)
    : options_(options),
      handlers_(std::move(handlers)),
      redis_(std::move(redis)),
      taken_(options.queue + ":taken:" + options.name) {}

Result<std::unique_ptr<Gateway>> Gateway::Start(const GatewayOptions& options,
                                                std::map<std::string, Handler> handlers) {
  if (options.server.command_timeout.count() <= kWaitSeconds * 1000) {
    return Error{Code::kInvalid, "celery: commands have to be waited for longer"};
  }
  std::unique_ptr<Gateway> gateway(
      new Gateway(options, std::move(handlers), TRY(Redis::Make(options.server))));
  for (size_t i = 0; i < options.at_once; ++i) {
    gateway->threads_.emplace_back([self = gateway.get()](const std::stop_token& stop) {
      pthread_setname_np(pthread_self(), "celery");
      self->Run(stop);
    });
  }
  return gateway;
}

Gateway::~Gateway() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void Gateway::Pause(const std::stop_token& stop) {
  std::condition_variable_any never;
  std::mutex mutex;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, kAgain, [] { return false; });
}

// Once for each trouble, and once when it's over.
void Gateway::Report(const Result<>& done) {
  const std::string trouble = done.ok() ? "" : done.message();
  const std::lock_guard lock(mutex_);
  if (trouble == trouble_) return;
  if (trouble.empty()) {
    LOG_INFO("celery: goes on");
  } else {
    LOG_WARNING("celery: {}; trying again", trouble);
  }
  trouble_ = trouble;
}

void Gateway::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (options_.ready != nullptr && !options_.ready()) {
      Pause(stop);
      continue;
    }
    const Result<std::optional<std::string>> message = Fetch(stop);
    Report(message.ok() ? Result<>(Ok{}) : Result<>(message.error()));
    if (!message.ok()) {
      Pause(stop);
    } else if (*message) {
      Serve(**message, stop);
      --working_;
    }
  }
}

Result<> Gateway::PutBack() {
  while (true) {
    const RedisReply moved = TRY(redis_->Ask(
        RedisCommand("LMOVE").Add(taken_).Add(options_.queue).Add("RIGHT").Add("RIGHT")));
    if (moved.type == RedisReply::Type::kNil) return Ok{};
  }
}

Result<std::optional<std::string>> Gateway::Fetch(const std::stop_token& stop) {
  const std::lock_guard lock(fetching_);
  if (stop.stop_requested()) return std::optional<std::string>();
  if (!whole_) {
    if (working_ > 0) return Error{Code::kUnavailable, "waiting for what is worked on"};
    TRY(PutBack());
  }
  // A message may be moved without our hearing of it.
  whole_ = false;
  RedisCommand command("BLMOVE");
  command.Add(options_.queue).Add(taken_).Add("RIGHT").Add("LEFT").Add(kWaitSeconds);
  RedisReply reply = TRY(redis_->Call(command));
  if (reply.is_error() && reply.text.starts_with("CROSSSLOT")) {
    return Error{Code::kUnsupported, "celery.queue: Celery's lists can't live in a Redis cluster"};
  }
  if (reply.is_error()) return RedisError(reply);
  whole_ = true;
  if (reply.type != RedisReply::Type::kText) return std::optional<std::string>();
  ++working_;
  return std::optional(std::move(reply.text));
}

Result<Json> Gateway::Answer(const std::string& message, const std::stop_token& stop,
                             Call* call) const {
  TRY(ReadMessage(message, call));
  if (message.size() > options_.message_bytes_max) {
    return Error{Code::kTooLarge, fmt::format("celery message: {} bytes, more than {}",
                                              message.size(), options_.message_bytes_max)};
  }
  if (call->expires && *call->expires < SystemClock().NowMs()) {
    return Error{Code::kCancelled, "expired"};
  }
  const auto handler = handlers_.find(std::string(LastPart(call->task)));
  if (handler == handlers_.end()) return Error{Code::kNotFound, call->task};
  return handler->second(*call, stop);
}

Result<> Gateway::Store(const std::string& message, const std::string& id,
                        const std::string& result) {
  std::vector<RedisCommand> commands;
  if (!id.empty()) {
    const std::string key = "celery-task-meta-" + id;
    commands.push_back(RedisCommand("SET").Add(key).Add(result).Add("PX"));
    commands.back().Add(options_.result_ttl.count());
    commands.push_back(RedisCommand("PUBLISH").Add(key).Add(result));
  }
  commands.push_back(RedisCommand("LREM").Add(taken_).Add(1).Add(message));
  for (const RedisReply& reply : TRY(redis_->Pipeline(commands))) {
    if (reply.is_error()) return RedisError(reply);
  }
  return Ok{};
}

void Gateway::Serve(const std::string& message, const std::stop_token& stop) {
  Call call;
  const Result<Json> answer = Answer(message, stop, &call);
  if (!answer.ok() && stop.stop_requested()) return;  // the next run has more time
  if (!answer.ok()) LOG_WARNING("celery: {} {}: {}", call.task, call.id, answer.message());
  const std::string result = ResultText(call.id, answer, SystemClock().NowMs());
  while (true) {
    const Result<> stored = Store(message, call.id, result);
    Report(stored);
    if (stored.ok() || stop.stop_requested()) return;
    Pause(stop);
  }
}

}  // namespace msearch::celery
