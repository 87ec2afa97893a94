#include "storage/redis_connection.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/log.h"

namespace msearch::storage {
namespace {

using std::chrono::steady_clock;

std::string TlsReason() {
  const unsigned long number = ERR_get_error();
  ERR_clear_error();
  if (number == 0) return "the connection was closed";
  std::array<char, 256> text{};
  ERR_error_string_n(number, text.data(), text.size());
  return text.data();
}

bool IsAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

}  // namespace

std::string RedisEndpoint::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<RedisEndpoint> ParseRedisEndpoint(std::string_view text, int port) {
  RedisEndpoint endpoint{std::string(text), port};
  const size_t colon = text.rfind(':');
  const size_t bracket = text.rfind(']');
  const bool v6 = text.find(':') != colon && bracket == std::string_view::npos;
  if (colon != std::string_view::npos && !v6 &&
      (bracket == std::string_view::npos || bracket < colon)) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, fault] =
        std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
    if (fault != std::errc() || end != digits.data() + digits.size() || endpoint.port < 1 ||
        endpoint.port > 65535) {
      return Error{Code::kInvalid, "redis server \"" + std::string(text) + "\": not HOST:PORT"};
    }
    endpoint.host = text.substr(0, colon);
  }
  if (endpoint.host.starts_with('[') && endpoint.host.ends_with(']')) {
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  }
  if (endpoint.host.empty()) return Error{Code::kInvalid, "redis server: has no host"};
  return endpoint;
}

Result<std::shared_ptr<RedisTls>> RedisTls::Make(const std::string& ca_file,
                                                 const std::string& certificate_file,
                                                 const std::string& key_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) return Error{Code::kInternal, "TLS: " + TlsReason()};
  std::shared_ptr<RedisTls> tls(new RedisTls(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const bool trusts = ca_file.empty()
                          ? SSL_CTX_set_default_verify_paths(context) == 1
                          : SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr) == 1;
  if (!trusts) return Error{Code::kInvalid, "TLS authorities " + ca_file + ": " + TlsReason()};
  if (!certificate_file.empty() &&
      (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)) {
    return Error{Code::kInvalid, "TLS certificate " + certificate_file + ": " + TlsReason()};
  }
  return tls;
}

RedisTls::~RedisTls() { SSL_CTX_free(context_); }

RedisConnection::RedisConnection(RedisEndpoint endpoint, std::shared_ptr<RedisTls> tls)
    : endpoint_(std::move(endpoint)), tls_(std::move(tls)) {}

RedisConnection::~RedisConnection() {
  if (ssl_ != nullptr) SSL_free(ssl_);
}

Error RedisConnection::Fault(const std::string& what, Code code) const {
  return Error{code, "redis " + endpoint_.text() + ": " + what};
}

Error RedisConnection::Silence(const std::string& what, Code code) const {
  if (answered_) return Fault(what, code);
  // A plain Redis waits in silence for the end of what it takes for a command.
  if (code == Code::kTimeout && tls_ != nullptr) {
    return Fault(what + "; does it speak TLS on this port (redis.tls, redis.port), or hang?", code);
  }
  if (code == Code::kTimeout) {
    return Fault(what + "; it hangs, or is no Redis (redis.host, redis.port)", code);
  }
  if (tls_ == nullptr) {
    return Fault(what +
                     " without an answer; does it speak TLS (redis.tls), or is it no Redis "
                     "(redis.host, redis.port)?",
                 code);
  }
  return Fault(what +
                   " without an answer; does it want a certificate of ours "
                   "(redis.certificate_file, redis.key_file)?",
               code);
}

Result<std::unique_ptr<RedisConnection>> RedisConnection::Open(const RedisEndpoint& endpoint,
                                                               const std::shared_ptr<RedisTls>& tls,
                                                               SteadyTime deadline) {
  std::unique_ptr<RedisConnection> connection(new RedisConnection(endpoint, tls));
  TRY(connection->Dial(deadline));
  if (tls) TRY(connection->Handshake(deadline));
  return connection;
}

Result<RedisConnection::Ready> RedisConnection::Poll(short events, SteadyTime deadline,
                                                     int interrupt) {
  while (true) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) return Silence("did not answer in time", Code::kTimeout);
    std::array<pollfd, 2> fds{pollfd{socket_.get(), events, 0}, pollfd{interrupt, POLLIN, 0}};
    const int timeout = static_cast<int>(std::min<int64_t>(left.count(), 3'600'000));
    const int ready = poll(fds.data(), fds.size(), timeout);
    if (ready < 0 && errno != EINTR) return Fault(strerror(errno));
    if (ready <= 0) continue;
    if (fds[0].revents != 0) return Ready::kYes;
    return Ready::kInterrupted;
  }
}

Result<> RedisConnection::Dial(SteadyTime deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(endpoint_.port);
  const int fault = getaddrinfo(endpoint_.host.c_str(), port.c_str(), &hints, &found);
  if (fault != 0) return Fault(std::string(gai_strerror(fault)) + " (redis.host)");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  Error last = Fault("has no address");
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    socket_ = Fd(socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_.valid()) return ErrnoError("socket", errno);
    const int one = 1;
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    // A peer that vanished without a word would keep a blocking wait hanging.
    const int idle = 15;
    const int interval = 5;
    setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    if (connect(socket_.get(), address->ai_addr, address->ai_addrlen) != 0) {
      if (errno != EINPROGRESS) {
        last = Fault(strerror(errno));
        continue;
      }
      const auto ready = Poll(POLLOUT, deadline, -1);
      if (!ready.ok()) {
        return Fault("can't be reached", Code::kUnavailable);
      }
      int error = 0;
      socklen_t size = sizeof(error);
      getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) {
        last = Fault(
            std::string(strerror(error)) +
            (error == ECONNREFUSED ? "; no server listens there (redis.host, redis.port)" : ""));
        continue;
      }
    }
    return Ok{};
  }
  return last;
}

Result<short> RedisConnection::Wanted(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return short{POLLIN};
    case SSL_ERROR_WANT_WRITE:
      return short{POLLOUT};
    default: {
      const long verified = SSL_get_verify_result(ssl_);
      if (verified != X509_V_OK) {
        ERR_clear_error();
        return Fault(fmt::format("its certificate: {} (redis.ca_file)",
                                 X509_verify_cert_error_string(verified)),
                     Code::kPermission);
      }
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER) {
        ERR_clear_error();
        return Fault("does not speak TLS on this port (redis.tls, redis.port)", Code::kInvalid);
      }
      const std::string reason = TlsReason();
      if (reason.find("certificate") != std::string::npos) {
        return Fault("TLS: " + reason +
                         "; it wants a certificate of ours (redis.certificate_file, "
                         "redis.key_file)",
                     Code::kPermission);
      }
      return Silence("TLS: " + reason);
    }
  }
}

Result<> RedisConnection::Handshake(SteadyTime deadline) {
  ERR_clear_error();
  ssl_ = SSL_new(tls_->context());
  if (ssl_ == nullptr) return Fault("TLS: " + TlsReason(), Code::kInternal);
  if (IsAddress(endpoint_.host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), endpoint_.host.c_str());
  } else {
    SSL_set1_host(ssl_, endpoint_.host.c_str());
    SSL_set_tlsext_host_name(ssl_, endpoint_.host.c_str());
  }
  SSL_set_fd(ssl_, socket_.get());
  while (true) {
    const int result = SSL_connect(ssl_);
    if (result == 1) return Ok{};
    TRY(Poll(TRY(Wanted(result)), deadline, -1));
  }
}

Result<> RedisConnection::Send(std::string_view bytes, SteadyTime deadline) {
  while (!bytes.empty()) {
    short events = POLLOUT;
    ssize_t written = 0;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      written =
          SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
      if (written <= 0) events = TRY(Wanted(static_cast<int>(written)));
    } else {
      written = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (written < 0 && errno != EAGAIN && errno != EINTR) return Fault(strerror(errno));
    }
    if (written > 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else {
      TRY(Poll(events, deadline, -1));
    }
  }
  return Ok{};
}

Result<size_t> RedisConnection::ReadSome(char* out, size_t size, short& events) {
  events = POLLIN;
  if (ssl_ != nullptr) {
    ERR_clear_error();
    const int got = SSL_read(ssl_, out, static_cast<int>(size));
    if (got > 0) return static_cast<size_t>(got);
    if (SSL_get_error(ssl_, got) == SSL_ERROR_ZERO_RETURN) return Silence("closed the connection");
    events = TRY(Wanted(got));
    return size_t{0};
  }
  const ssize_t got = recv(socket_.get(), out, size, 0);
  if (got > 0) return static_cast<size_t>(got);
  if (got == 0) return Silence("closed the connection");
  if (errno == ECONNRESET) return Silence("reset the connection");
  if (errno != EAGAIN && errno != EINTR) return Fault(strerror(errno));
  return size_t{0};
}

Result<std::optional<RedisReply>> RedisConnection::Receive(SteadyTime deadline, int interrupt) {
  std::array<char, 1 << 16> buffer;
  while (true) {
    Result<std::optional<RedisReply>> reply = reader_.Next();
    if (!reply.ok() && !answered_) {
      return Fault(
          "answers in another protocol than Redis's; what listens there? (redis.host, "
          "redis.port, redis.tls)",
          Code::kInvalid);
    }
    if (!reply.ok()) return reply;
    if (reply->has_value()) {
      answered_ = true;
      return reply;
    }
    short events = POLLIN;
    const size_t got = TRY(ReadSome(buffer.data(), buffer.size(), events));
    if (got > 0) {
      reader_.Feed({buffer.data(), got});
    } else if (TRY(Poll(events, deadline, interrupt)) == Ready::kInterrupted) {
      return std::optional<RedisReply>();
    }
  }
}

void RedisConnection::WatchFor(std::chrono::microseconds duration) const {
  const SteadyTime end = steady_clock::now() + duration;
  pollfd fd{socket_.get(), POLLIN, 0};
  while (poll(&fd, 1, 0) == 0 && steady_clock::now() < end) sched_yield();
}

Result<RedisReply> RedisConnection::Call(const RedisCommand& command, SteadyTime deadline,
                                         RedisHaste haste) {
  std::string bytes;
  if (haste.others_first) RedisCommand("PING").AppendTo(bytes);
  command.AppendTo(bytes);
  TRY(Send(bytes, deadline));
  if (haste.watch.count() > 0) WatchFor(haste.watch);
  // Whatever it says: it's there for its place.
  if (haste.others_first) TRY(Receive(deadline));
  std::optional<RedisReply> reply = TRY(Receive(deadline));
  return *std::move(reply);
}

void RedisConnection::Abandon() const {
  const linger at_once{1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

bool RedisConnection::Quiet() {
  pollfd fd{socket_.get(), POLLIN, 0};
  if (poll(&fd, 1, 0) == 0) return true;
  if (ssl_ == nullptr) return false;
  // TLS talks on its own: new session tickets.
  char byte = 0;
  ERR_clear_error();
  const int got = SSL_peek(ssl_, &byte, 1);
  return got <= 0 && SSL_get_error(ssl_, got) == SSL_ERROR_WANT_READ;
}

}  // namespace msearch::storage
