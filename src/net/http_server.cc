#include "net/http_server.h"

#include <microhttpd.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/log.h"
#include "net/exchange.h"
#include "net/listen_socket.h"

namespace msearch::net {
namespace {

// Of a request's line and headers together.
constexpr size_t kHeaderBytesMax = 32 << 10;
// To send the answers with which the requests that outlived the grace end.
constexpr Milliseconds kFarewell{500};

void* OnTarget(void* state, const char* raw_target, MHD_Connection* connection) {
  return Exchange::Start(*static_cast<ServerState*>(state), connection, raw_target);
}

MHD_Result OnAccess(void*, MHD_Connection*, const char*, const char* method, const char*,
                    const char* upload, size_t* upload_size, void** exchange) {
  return static_cast<Exchange*>(*exchange)->Proceed(method, upload, upload_size);
}

void OnCompleted(void*, MHD_Connection*, void** exchange, MHD_RequestTerminationCode) {
  if (*exchange != nullptr) static_cast<Exchange*>(*exchange)->Completed();
  *exchange = nullptr;
}

void OnConnection(void* state, MHD_Connection*, void**, MHD_ConnectionNotificationCode code) {
  auto& connections = static_cast<ServerState*>(state)->connections;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    ++connections;
  } else {
    --connections;
  }
}

// The target is decoded by us, from its raw form.
size_t LeaveEscaped(void*, MHD_Connection*, char* text) { return std::strlen(text); }

__attribute__((format(printf, 2, 0))) void OnLog(void*, const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  std::string_view text = line;
  while (text.ends_with('\n')) text.remove_suffix(1);
  LOG_DEBUG("http: {}", text);
}

class MhdServer : public HttpServer {
 public:
  MhdServer(const HttpServerOptions& options, std::vector<Route> routes)
      : state_(options, std::move(routes)) {}
  ~MhdServer() override { Stop(); }

  Result<> Listen() {
    const HttpServerOptions& options = state_.options;
    Fd socket = TRY(ListenOn(options.host, options.port));
    port_ = BoundPort(socket.get());
    std::vector<MHD_OptionItem> pool;
    if (options.io_threads > 1) {
      pool.push_back({MHD_OPTION_THREAD_POOL_SIZE, options.io_threads, nullptr});
    }
    pool.push_back({MHD_OPTION_END, 0, nullptr});
    daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, nullptr, nullptr, &OnAccess, nullptr,                                       //
        MHD_OPTION_EXTERNAL_LOGGER, &OnLog, nullptr,                                   //
        MHD_OPTION_LISTEN_SOCKET, socket.get(),                                        //
        MHD_OPTION_URI_LOG_CALLBACK, &OnTarget, &state_,                               //
        MHD_OPTION_NOTIFY_COMPLETED, &OnCompleted, nullptr,                            //
        MHD_OPTION_NOTIFY_CONNECTION, &OnConnection, &state_,                          //
        MHD_OPTION_UNESCAPE_CALLBACK, &LeaveEscaped, nullptr,                          //
        MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(options.connections_max),   //
        MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(options.idle_timeout_s),  //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, kHeaderBytesMax,                           //
        MHD_OPTION_STRICT_FOR_CLIENT, 1,                                               //
        MHD_OPTION_ARRAY, pool.data(), MHD_OPTION_END);
    if (daemon_ == nullptr) return Error{Code::kExhausted, "http server: threads can't be started"};
    socket.Release();  // closed by MHD, or by us after MHD_quiesce_daemon
    return Ok{};
  }

  uint16_t port() const override { return port_; }
  Counters counters() const override {
    return {state_.requests, state_.connections, state_.errors};
  }

 private:
  // Each step leaves fewer requests: first those that end by themselves, then those that are
  // answered in their handlers' stead. No connection may be suspended when MHD stops.
  void Stop() {
    if (daemon_ != nullptr) {
      Fd(MHD_quiesce_daemon(daemon_)).Reset();
      std::unique_lock lock(state_.mutex);
      state_.stopping = true;
      for (Exchange* exchange : state_.open) exchange->EndStream();
      WaitUntilNoneIsOpen(lock, state_.options.stop_grace);
      for (Exchange* exchange : state_.open) {
        exchange->Answer(state_.Problem(503, "server: stopping"));
        exchange->EndStream();
      }
      WaitUntilNoneIsOpen(lock, kFarewell);
      for (Exchange* exchange : state_.open) exchange->CutStream();
      lock.unlock();
      MHD_stop_daemon(daemon_);
    }
    state_.pool.Stop();
  }

  void WaitUntilNoneIsOpen(std::unique_lock<std::mutex>& lock, Milliseconds timeout) {
    state_.changed.wait_for(lock, timeout, [this] { return state_.open.empty(); });
  }

  ServerState state_;
  MHD_Daemon* daemon_ = nullptr;
  uint16_t port_ = 0;
};

}  // namespace

std::optional<std::string> Request::Query(const std::string& name) const {
  auto found = query.find(name);
  if (found == query.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> Request::Header(const std::string& lower_case_name) const {
  auto found = headers.find(lower_case_name);
  if (found == headers.end()) return std::nullopt;
  return found->second;
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                      std::vector<Route> routes) {
  std::signal(SIGPIPE, SIG_IGN);
  auto server = std::make_unique<MhdServer>(options, std::move(routes));
  TRY(server->Listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace msearch::net
