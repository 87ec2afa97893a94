#include "storage/redis.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"

namespace msearch::storage {
namespace {

using std::chrono::steady_clock;

constexpr int kRedirectsMax = 5;
constexpr Milliseconds kRetryFirst{100};
constexpr Milliseconds kRetryMax{1000};

Result<std::vector<RedisEndpoint>> ParseList(const std::string& text, int port) {
  std::vector<RedisEndpoint> endpoints;
  for (const std::string_view part : Split(text, ',')) {
    if (!Trim(part).empty()) endpoints.push_back(TRY(ParseRedisEndpoint(Trim(part), port)));
  }
  return endpoints;
}

// "MOVED 1234 host:port": where to. A server that doesn't know its own name leaves it out.
std::optional<RedisEndpoint> RedirectOf(const RedisReply& reply, std::string_view word,
                                        const RedisEndpoint& from) {
  if (!reply.is_error() || !reply.text.starts_with(word)) return std::nullopt;
  const std::vector<std::string_view> fields = Split(reply.text, ' ');
  if (fields.size() != 3) return std::nullopt;
  std::string target(fields[2]);
  if (target.starts_with(':'))
    target =
        (from.host.find(':') == std::string::npos ? from.host : "[" + from.host + "]") + target;
  const auto endpoint = ParseRedisEndpoint(target, from.port);
  return endpoint.ok() ? std::optional(*endpoint) : std::nullopt;
}

// Errors that say that this server is not, or not now, the one to ask.
bool IsElsewhere(const RedisReply& reply) {
  constexpr std::array<std::string_view, 5> kWords{"READONLY", "LOADING", "MASTERDOWN", "MOVED",
                                                   "CLUSTERDOWN"};
  return reply.is_error() && std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
           return reply.text.starts_with(word);
         });
}

// A slot of which some keys are here and some are there already. Our scripts use many keys that
// they find out by themselves, so neither node can run them (redis/base.lua).
bool IsMoving(std::string_view error) {
  return error.starts_with("ASK ") || error.starts_with("TRYAGAIN") ||
         error.starts_with("ERR Script attempted to access a non local key");
}

// A time-out is, to whoever calls, a server that is away.
Error AsAway(const Error& error) {
  return Error{error.code == Code::kTimeout ? Code::kUnavailable : error.code, error.message};
}

}  // namespace

void Redis::Explain(const RedisEndpoint& endpoint, RedisReply* reply) const {
  if (!reply->is_error()) return;
  const std::string& text = reply->text;
  const auto begins = [&](std::string_view word) { return text.starts_with(word); };
  const std::string rest = text.substr(std::min(text.find(' '), text.size() - 1) + 1);
  const std::string user = options_.user.empty() ? "the default user" : "user " + options_.user;
  std::string why;
  if (begins("NOAUTH")) {
    why = "wants a password (redis.password; with a user of its own redis.user)";
  } else if (begins("WRONGPASS") || begins("ERR invalid password")) {
    why = "does not take this password for " + user + ", or has switched the user off " +
          "(redis.user, redis.password)";
  } else if (begins("ERR AUTH")) {
    why = "has no password, but is sent one (redis.password)";
  } else if (begins("NOPERM") || begins("ERR The user executing the script can't") ||
             begins("ERR ACL failure in script")) {
    why = user + " may not do what the queue needs: " + rest +
          " (redis.user; docs/formats.md lists the permissions)";
  } else if (begins("OOM")) {
    why =
        "its memory is full (maxmemory); it takes no more until some of it is free or maxmemory "
        "raised";
  } else if (begins("READONLY")) {
    why =
        "is a read-only replica now; after a fail-over redis.sentinels would tell where the master "
        "is";
  } else if (begins("BUSY ")) {
    why = "is kept busy by a script of somebody else (SCRIPT KILL or FUNCTION KILL ends it)";
  } else if (begins("MISCONF")) {
    why = "can't write to its disk: " + rest;
  } else if (begins("LOADING")) {
    why = "is still loading its data from disk";
  } else if (IsMoving(text)) {
    why = "its slot is on the way to another node of the cluster; what needs it waits for that";
  } else if (begins("ERR max number of clients")) {
    why = "serves as many clients as it may (maxclients)";
  } else if (begins("DENIED")) {
    why =
        "runs in protected mode and answers its own machine only; give it a password and set "
        "redis.password";
  } else if (begins("ERR DB index") || begins("ERR invalid DB index") ||
             begins("ERR SELECT is not allowed")) {
    why = "has no database " + std::to_string(options_.db) + " (redis.db)";
  } else {
    return;
  }
  // The first word stays: it says what the error means.
  const bool later = IsMoving(text) || begins("ERR max number of clients");
  const std::string word = later            ? "TRYAGAIN"
                           : !begins("ERR") ? text.substr(0, text.find(' '))
                           : RedisError(*reply).code == Code::kPermission ? "NOPERM"
                                                                          : "ERR";
  reply->text = word + " redis " + endpoint.text() + ": " + why;
}

Result<std::shared_ptr<Redis>> Redis::Make(const RedisOptions& options) {
  std::shared_ptr<Redis> redis(new Redis(options));
  redis->hosts_ = TRY(ParseList(options.host, options.port));
  redis->sentinels_ = TRY(ParseList(options.sentinels, 26379));
  if (redis->hosts_.empty() && redis->sentinels_.empty()) {
    return Error{Code::kInvalid, "redis: no server is named"};
  }
  if (options.tls) {
    redis->tls_ = TRY(RedisTls::Make(options.ca_file, options.certificate_file, options.key_file));
  }
  return redis;
}

std::string Redis::where() const {
  const std::lock_guard lock(mutex_);
  if (current_) return current_->text();
  return sentinels_.empty() ? hosts_.front().text() : sentinels_.front().text();
}

Result<std::unique_ptr<RedisConnection>> Redis::Borrow() {
  std::unique_lock lock(mutex_);
  while (!idle_.empty()) {
    std::unique_ptr<RedisConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    // A server that restarted meanwhile has closed it; one that isn't the master any more is left.
    if (connection->endpoint() == current_ && connection->Quiet()) return connection;
    --open_;
  }
  if (!returned_.wait_for(lock, options_.command_timeout,
                          [&] { return open_ < options_.connections_max || !idle_.empty(); })) {
    return Error{Code::kUnavailable, "redis: all " + std::to_string(options_.connections_max) +
                                         " connections are in use"};
  }
  if (!idle_.empty()) {
    std::unique_ptr<RedisConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  ++open_;
  lock.unlock();
  auto made = Connect();
  if (!made.ok()) GiveBack(nullptr);
  return made;
}

void Redis::GiveBack(std::unique_ptr<RedisConnection> connection) {
  const std::lock_guard lock(mutex_);
  if (connection != nullptr) {
    idle_.push_back(std::move(connection));
  } else {
    --open_;
  }
  returned_.notify_one();
}

void Redis::DropIdle() {
  const std::lock_guard lock(mutex_);
  open_ -= idle_.size();
  idle_.clear();
  returned_.notify_all();
}

void Redis::Forget() {
  const std::lock_guard lock(mutex_);
  current_.reset();
}

Result<std::unique_ptr<RedisConnection>> Redis::Connect() {
  {
    const std::lock_guard lock(mutex_);
    if (failures_ > 0 && steady_clock::now() < retry_at_) return last_error_;
  }
  auto made = ConnectAnywhere();
  const std::lock_guard lock(mutex_);
  if (made.ok()) {
    failures_ = 0;
    current_ = (*made)->endpoint();
    return made;
  }
  current_.reset();
  failures_ = std::min(failures_ + 1, 10);
  retry_at_ = steady_clock::now() + std::min(kRetryFirst * (1 << (failures_ - 1)), kRetryMax);
  last_error_ = AsAway(made.error());
  return last_error_;
}

Result<std::unique_ptr<RedisConnection>> Redis::ConnectAnywhere() {
  if (!sentinels_.empty()) return ConnectTo(TRY(AskSentinels()));
  std::vector<RedisEndpoint> candidates = hosts_;
  {
    const std::lock_guard lock(mutex_);
    if (current_) candidates.insert(candidates.begin(), *current_);
  }
  std::optional<Error> last;
  for (const RedisEndpoint& candidate : candidates) {
    auto made = ConnectTo(candidate);
    if (made.ok()) return made;
    last = made.error();
  }
  return *last;
}

Result<RedisEndpoint> Redis::AskSentinels() {
  std::optional<Error> last;
  for (const RedisEndpoint& sentinel : sentinels_) {
    const SteadyTime deadline = steady_clock::now() + options_.connect_timeout;
    auto connection = RedisConnection::Open(sentinel, tls_, deadline);
    if (!connection.ok()) {
      last = connection.error();
      continue;
    }
    if (!options_.sentinel_password.empty()) {
      const auto reply =
          (*connection)->Call(RedisCommand("AUTH").Add(options_.sentinel_password), deadline);
      if (reply.ok() && reply->is_error()) {
        last = Error{Code::kPermission, "redis sentinel " + sentinel.text() + ": " + reply->text +
                                            " (redis.sentinel_password)"};
        continue;
      }
    }
    const auto reply = (*connection)
                           ->Call(RedisCommand("SENTINEL")
                                      .Add("get-master-addr-by-name")
                                      .Add(options_.sentinel_master),
                                  deadline);
    if (!reply.ok()) {
      last = reply.error();
    } else if (reply->is_error()) {
      last =
          Error{RedisError(*reply).code, "redis sentinel " + sentinel.text() + ": " + reply->text +
                                             " (redis.sentinels, redis.sentinel_password)"};
    } else if (reply->items.size() != 2) {
      last = Error{Code::kUnavailable, "redis sentinel " + sentinel.text() + ": knows no master " +
                                           options_.sentinel_master + " (redis.sentinel_master)"};
    } else {
      return RedisEndpoint{reply->items[0].text, static_cast<int>(reply->items[1].AsInteger())};
    }
  }
  return *last;
}

Result<std::unique_ptr<RedisConnection>> Redis::ConnectTo(RedisEndpoint endpoint) {
  for (int redirects = 0; redirects <= kRedirectsMax; ++redirects) {
    std::unique_ptr<RedisConnection> connection = TRY(LogIn(endpoint));
    const SteadyTime deadline = steady_clock::now() + options_.connect_timeout;
    if (!sentinels_.empty()) {
      // Sentinels may lag behind a master that has just been degraded.
      const RedisReply role = TRY(connection->Call(RedisCommand("ROLE"), deadline));
      if (role.is_error()) return RedisError(role);
      if (role.items.empty() || role.items[0].text != "master") {
        return Error{Code::kUnavailable, "redis " + endpoint.text() + ": is no master now"};
      }
    }
    if (options_.route_key.empty()) return connection;
    RedisReply probe =
        TRY(connection->Call(RedisCommand("EXISTS").Add(options_.route_key), deadline));
    // One whose keys are on their way is still the one to ask.
    if (probe.is_error() && IsMoving(probe.text)) return connection;
    Explain(endpoint, &probe);
    const auto moved = RedirectOf(probe, "MOVED ", endpoint);
    if (!moved) {
      if (probe.is_error()) return RedisError(probe);
      return connection;
    }
    endpoint = *moved;
  }
  return Error{Code::kUnavailable, "redis " + endpoint.text() + ": sent us around in a circle"};
}

Result<std::unique_ptr<RedisConnection>> Redis::LogIn(const RedisEndpoint& endpoint) {
  const SteadyTime deadline = steady_clock::now() + options_.connect_timeout;
  auto connection = TRY(RedisConnection::Open(endpoint, tls_, deadline));
  std::vector<RedisCommand> commands;
  if (!options_.password.empty()) {
    commands.emplace_back("AUTH");
    if (!options_.user.empty()) commands.back().Add(options_.user);
    commands.back().Add(options_.password);
  }
  if (options_.db != 0) commands.emplace_back(RedisCommand("SELECT").Add(options_.db));
  for (const RedisCommand& command : commands) {
    RedisReply reply = TRY(connection->Call(command, deadline));
    if (!reply.is_error()) continue;
    Explain(endpoint, &reply);
    return RedisError(reply);
  }
  return connection;
}

Result<RedisReply> Redis::CallOn(RedisConnection& connection, const RedisCommand& command,
                                 RedisHaste haste) {
  auto reply = connection.Call(command, steady_clock::now() + options_.command_timeout, haste);
  if (!reply.ok()) {
    connection.Abandon();
    return AsAway(reply.error());
  }
  Explain(connection.endpoint(), &*reply);
  return reply;
}

Result<RedisReply> Redis::Call(const RedisCommand& command, RedisHaste haste) {
  for (int redirects = 0;; ++redirects) {
    std::unique_ptr<RedisConnection> connection = TRY(Borrow());
    Result<RedisReply> reply = CallOn(*connection, command, haste);
    if (!reply.ok()) {
      GiveBack(nullptr);
      return reply;
    }
    if (!IsElsewhere(*reply)) {
      GiveBack(std::move(connection));
      return reply;
    }
    const auto moved = RedirectOf(*reply, "MOVED ", connection->endpoint());
    connection.reset();
    GiveBack(nullptr);
    Forget();
    if (!moved || redirects == kRedirectsMax) return reply;
    const std::lock_guard lock(mutex_);
    current_ = *moved;
  }
}

Result<RedisReply> Redis::Ask(const RedisCommand& command) {
  RedisReply reply = TRY(Call(command));
  if (reply.is_error()) return RedisError(reply);
  return reply;
}

Result<std::vector<RedisReply>> Redis::Pipeline(std::span<const RedisCommand> commands) {
  std::vector<RedisReply> replies;
  if (commands.empty()) return replies;
  std::string bytes;
  for (const RedisCommand& command : commands) command.AppendTo(bytes);
  std::unique_ptr<RedisConnection> connection = TRY(Borrow());
  const auto run = [&]() -> Result<> {
    const SteadyTime deadline = steady_clock::now() + options_.command_timeout;
    TRY(connection->Send(bytes, deadline));
    while (replies.size() < commands.size()) {
      std::optional<RedisReply> reply = TRY(connection->Receive(deadline));
      replies.push_back(*std::move(reply));
      Explain(connection->endpoint(), &replies.back());
    }
    return Ok{};
  };
  const Result<> done = run();
  if (!done.ok()) {
    connection->Abandon();
    GiveBack(nullptr);
    return AsAway(done.error());
  }
  if (std::any_of(replies.begin(), replies.end(), IsElsewhere)) {
    GiveBack(nullptr);
    Forget();
  } else {
    GiveBack(std::move(connection));
  }
  return replies;
}

Redis::Subscription::Subscription(Redis& redis, std::unique_ptr<RedisConnection> connection,
                                  Fd wake)
    : redis_(redis), connection_(std::move(connection)), wake_(std::move(wake)) {}

// A connection that has subscribed can't be used for anything else.
Redis::Subscription::~Subscription() { redis_.GiveBack(nullptr); }

Result<std::unique_ptr<Redis::Subscription>> Redis::Subscribe(const std::string& channel) {
  Fd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return ErrnoError("eventfd", errno);
  std::string bytes;
  RedisCommand("SSUBSCRIBE").Add(channel).AppendTo(bytes);
  std::unique_ptr<RedisConnection> connection = TRY(Borrow());
  const SteadyTime deadline = steady_clock::now() + options_.command_timeout;
  const Result<> sent = connection->Send(bytes, deadline);
  if (!sent.ok()) {
    GiveBack(nullptr);
    return AsAway(sent.error());
  }
  std::unique_ptr<Subscription> subscription(
      new Subscription(*this, std::move(connection), std::move(wake)));
  auto answer = TRY(subscription->Receive(deadline, {}));
  if (!answer) return Error{Code::kUnavailable, "redis " + where() + ": did not answer in time"};
  if (answer->is_error()) {
    Explain(subscription->connection_->endpoint(), &*answer);
    return RedisError(*answer);
  }
  return subscription;
}

Result<std::optional<RedisReply>> Redis::Subscription::Receive(SteadyTime deadline,
                                                               const std::stop_token& stop) {
  const std::stop_callback interrupt(stop, [this] {
    const uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof(one));
  });
  Result<std::optional<RedisReply>> reply = connection_->Receive(deadline, wake_.get());
  if (!reply.ok() && reply.code() == Code::kTimeout) return std::optional<RedisReply>();
  if (!reply.ok()) return AsAway(reply.error());
  if (!reply->has_value()) {  // stopped: the next one who asks has a token of his own
    uint64_t count = 0;
    (void)!read(wake_.get(), &count, sizeof(count));
    return reply;
  }
  if (IsElsewhere(**reply)) redis_.Forget();
  return reply;
}

Result<std::optional<std::string>> Redis::Subscription::Next(SteadyTime deadline,
                                                             const std::stop_token& stop) {
  std::optional<RedisReply> reply = TRY(Receive(deadline, stop));
  if (!reply) return std::optional<std::string>();
  if (reply->is_error()) return RedisError(*reply);
  std::vector<RedisReply>& items = reply->items;
  // A cluster ends a subscription when its slot has moved.
  if (!items.empty() && items.front().text == "sunsubscribe") {
    redis_.Forget();
    return Error{Code::kUnavailable, "redis " + redis_.where() + ": the slot has moved"};
  }
  if (items.size() != 3) return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
  return std::optional(std::move(items[2].text));
}

}  // namespace msearch::storage
