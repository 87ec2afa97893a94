// One connection to a Redis server: TCP, or TLS over it, without ever blocking beyond a deadline.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "storage/redis_reply.h"

struct ssl_ctx_st;
struct ssl_st;

namespace msearch::storage {

struct RedisEndpoint {
  std::string host;
  int port = 6379;
  std::string text() const;  // "host:port"
  bool operator==(const RedisEndpoint&) const = default;
};
// "host", "host:port" or "[v6]:port".
Result<RedisEndpoint> ParseRedisEndpoint(std::string_view text, int port);

// What certificates are trusted and shown. Thread-safe. A process that uses it has to ignore
// SIGPIPE.
class RedisTls {
 public:
  // Empty: the system's authorities; no certificate of our own.
  static Result<std::shared_ptr<RedisTls>> Make(const std::string& ca_file,
                                                const std::string& certificate_file,
                                                const std::string& key_file);
  ~RedisTls();
  RedisTls(const RedisTls&) = delete;
  RedisTls& operator=(const RedisTls&) = delete;
  ssl_ctx_st* context() const { return context_; }

 private:
  explicit RedisTls(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* const context_;
};

// What a caller does to hear soon.
struct RedisHaste {
  // As WatchFor, before it waits for the answer.
  std::chrono::microseconds watch{0};
  // To hear later than whom the command tells something: Redis 7 writes to its clients in the
  // reverse of the order in which there first was something for them (its list of pending
  // writes), and a PING before the command makes that the caller.
  bool others_first = false;
};

// Messages of a first contact that fails name the settings of msearch that may be wrong
// ("redis.tls",
// ...): they are called as the fields of RedisOptions. Not thread-safe. After any error it is of no
// further use.
class RedisConnection {
 public:
  // `tls` null: none. The server's certificate has to be valid for the endpoint's host.
  static Result<std::unique_ptr<RedisConnection>> Open(const RedisEndpoint& endpoint,
                                                       const std::shared_ptr<RedisTls>& tls,
                                                       SteadyTime deadline);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  Result<> Send(std::string_view bytes, SteadyTime deadline);
  // Nothing when `interrupt` (a descriptor, or -1) became readable first; kTimeout at the deadline.
  Result<std::optional<RedisReply>> Receive(SteadyTime deadline, int interrupt = -1);
  // Looks again and again for so long whether there is something to receive, giving way to whoever
  // wants the processor: to be woken takes longer than a short answer.
  void WatchFor(std::chrono::microseconds duration) const;
  Result<RedisReply> Call(const RedisCommand& command, SteadyTime deadline, RedisHaste haste = {});
  // Before it is dropped with a call unanswered: what the other machine hasn't got yet is never
  // sent, so that it isn't executed minutes later, when nobody waits for the answer any more.
  void Abandon() const;
  // Between calls: whether the other side is still there and has said nothing unasked for.
  bool Quiet();
  const RedisEndpoint& endpoint() const { return endpoint_; }

 private:
  RedisConnection(RedisEndpoint endpoint, std::shared_ptr<RedisTls> tls);
  Result<> Dial(SteadyTime deadline);
  Result<> Handshake(SteadyTime deadline);
  enum class Ready { kYes, kInterrupted };
  Result<Ready> Poll(short events, SteadyTime deadline, int interrupt);
  // The direction that TLS wants next, or an error.
  Result<short> Wanted(int result);
  // Bytes read; 0 when there are none yet (then `events` says what to wait for).
  Result<size_t> ReadSome(char* out, size_t size, short& events);
  Error Fault(const std::string& what, Code code = Code::kUnavailable) const;
  // As Fault, with what to look for if nothing has ever come from this server.
  Error Silence(const std::string& what, Code code = Code::kUnavailable) const;

  const RedisEndpoint endpoint_;
  const std::shared_ptr<RedisTls> tls_;
  Fd socket_;
  ssl_st* ssl_ = nullptr;
  RedisReplyReader reader_;
  bool answered_ = false;  // a whole reply has come: this is a Redis, and speaks as we do
};

}  // namespace msearch::storage
