// A Redis server as one thing to send commands to, whoever answers at the moment: a single server,
// the master that sentinels name, or the node of a cluster that has our slot. No key is known here.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "storage/redis_connection.h"
#include "storage/redis_reply.h"

namespace msearch::storage {

struct RedisOptions {
  // "host" or "host:port", several separated by commas (nodes of a cluster, to be tried in turn).
  std::string host = "127.0.0.1";
  int port = 6379;
  int db = 0;
  std::string user;  // empty: the default user
  std::string password;
  bool tls = false;
  std::string ca_file;           // whom to trust; empty: the system's authorities
  std::string certificate_file;  // of our own, with its key; empty: none
  std::string key_file;
  // "host:port", separated by commas; they name the master of `sentinel_master`. Empty: none.
  std::string sentinels;
  std::string sentinel_master = "mymaster";
  std::string sentinel_password;
  // A key of the slot that everything lives in: in a cluster its node is looked for at connect.
  // Empty: no cluster.
  std::string route_key;
  Milliseconds connect_timeout{2000};  // for one server, with its handshake
  Milliseconds command_timeout{5000};  // for one answer
  size_t connections_max = 64;
};

// Connections are made when needed, kept, and made anew when they break; after a failure calls fail
// at once until it's time for the next try (0.1 to 1 second). Thread-safe.
class Redis {
 public:
  // Only checks the options; nothing is connected yet.
  static Result<std::shared_ptr<Redis>> Make(const RedisOptions& options);

  // The answer, also when it's an error reply: kUnavailable when there was none within the
  // time-outs. A command that got no answer may have been executed. Follows a slot of a cluster
  // that has moved; while it moves the answer is the error TRYAGAIN (kUnavailable).
  Result<RedisReply> Call(const RedisCommand& command, RedisHaste haste = {});
  // The same, with error replies as errors.
  Result<RedisReply> Ask(const RedisCommand& command);
  // All are sent before the first answer is read. Doesn't follow redirects: they are kUnavailable.
  Result<std::vector<RedisReply>> Pipeline(std::span<const RedisCommand> commands);

  // What comes through a channel, on a connection of its own. It has to be gone before the object
  // that made it.
  class Subscription {
   public:
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;
    // The next message; nothing when none came by the deadline or until `stop`. After an error: of
    // no further use.
    Result<std::optional<std::string>> Next(SteadyTime deadline, const std::stop_token& stop);
    // Keeps the processor until there is one, for so long at most.
    void WatchFor(std::chrono::microseconds duration) const { connection_->WatchFor(duration); }

   private:
    friend class Redis;
    Subscription(Redis& redis, std::unique_ptr<RedisConnection> connection, Fd wake);
    Result<std::optional<RedisReply>> Receive(SteadyTime deadline, const std::stop_token& stop);
    Redis& redis_;
    const std::unique_ptr<RedisConnection> connection_;
    const Fd wake_;
  };
  // To a channel that belongs to the slot of the key `channel`.
  Result<std::unique_ptr<Subscription>> Subscribe(const std::string& channel);

  // Closes the connections that are not in use.
  void DropIdle();
  // Where commands go, for messages: "host:port".
  std::string where() const;

 private:
  explicit Redis(RedisOptions options) : options_(std::move(options)) {}

  Result<std::unique_ptr<RedisConnection>> Borrow();
  void GiveBack(std::unique_ptr<RedisConnection> connection);  // null: it broke
  Result<std::unique_ptr<RedisConnection>> Connect();
  Result<std::unique_ptr<RedisConnection>> ConnectAnywhere();
  // To this server, logged in, or to the node that it names.
  Result<std::unique_ptr<RedisConnection>> ConnectTo(RedisEndpoint endpoint);
  Result<std::unique_ptr<RedisConnection>> LogIn(const RedisEndpoint& endpoint);
  Result<RedisEndpoint> AskSentinels();
  Result<RedisReply> CallOn(RedisConnection& connection, const RedisCommand& command,
                            RedisHaste haste = {});
  // Says of a refusal who refuses, and what may be wrong; other replies stay as they are.
  void Explain(const RedisEndpoint& endpoint, RedisReply* reply) const;
  void Forget();  // where the server was

  const RedisOptions options_;
  std::vector<RedisEndpoint> hosts_;
  std::vector<RedisEndpoint> sentinels_;
  std::shared_ptr<RedisTls> tls_;

  mutable std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<RedisConnection>> idle_;  // by mutex_
  size_t open_ = 0;                                     // by mutex_, lent ones included
  std::optional<RedisEndpoint> current_;                // by mutex_: where it was last found
  int failures_ = 0;                                    // by mutex_, in a row
  SteadyTime retry_at_{};                               // by mutex_
  Error last_error_;                                    // by mutex_
};

}  // namespace msearch::storage
