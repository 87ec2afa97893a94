// Answers the tasks that Python programs send with Celery over Redis, so that such a program can
// use msearch in place of Celery's workers without being changed.
//
// A message is moved to a list of this gateway's own while it is worked on, and taken out when its
// result is stored; what an earlier run left there is put back at the start. So a message may be
// answered twice, and none is lost.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "celery/message.h"
#include "storage/redis.h"

namespace msearch::celery {

struct GatewayOptions {
  storage::RedisOptions server;
  std::string queue = "celery";  // the list that the messages come by, as Celery's default
  std::string name;              // of this gateway, the same after a restart
  size_t at_once = 16;           // each on a thread of its own
  size_t message_bytes_max = 96 << 20;
  Milliseconds result_ttl{int64_t{24} * 3600 * 1000};  // Celery's default
  // Nothing is taken while it isn't; null: always.
  std::function<bool()> ready;
};

// Called on several threads at a time. May give up with any error once it is to stop.
using Handler = std::function<Result<Json>(const Call& call, const std::stop_token& stop)>;

class Gateway {
 public:
  // `handlers` by the last part of a task's name ("generate_embeddings_task"); a task that isn't
  // there fails as NotRegistered, as with Celery's own workers. Works through times when the
  // server is away: results wait in memory for it.
  static Result<std::unique_ptr<Gateway>> Start(const GatewayOptions& options,
                                                std::map<std::string, Handler> handlers);
  // Stops once the handlers that run have ended, within two seconds more. What they gave up is
  // answered by the next run.
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

 private:
  Gateway(const GatewayOptions& options, std::map<std::string, Handler> handlers,
          std::shared_ptr<storage::Redis> redis);
  void Run(const std::stop_token& stop);
  // The next message, as one more that is worked on; nothing when none came within a second.
  Result<std::optional<std::string>> Fetch(const std::stop_token& stop);
  // What is in `taken_`, when nobody works on anything.
  Result<> PutBack();
  void Serve(const std::string& message, const std::stop_token& stop);
  Result<Json> Answer(const std::string& message, const std::stop_token& stop, Call* call) const;
  Result<> Store(const std::string& message, const std::string& id, const std::string& result);
  void Report(const Result<>& done);
  void Pause(const std::stop_token& stop);

  const GatewayOptions options_;
  const std::map<std::string, Handler> handlers_;
  const std::shared_ptr<storage::Redis> redis_;
  const std::string taken_;  // the list of what is worked on
  std::mutex fetching_;      // one waits for the server, the others for that one
  bool whole_ = false;       // by fetching_: nothing lies in `taken_` that nobody works on
  std::atomic<int> working_ = 0;
  std::mutex mutex_;
  std::string trouble_;  // by mutex_; empty: none
  std::vector<std::jthread> threads_;
};

}  // namespace msearch::celery
