// A small server of the OpenAI protocol for tests: /v1/chat/completions, streamed, with whatever
// faults a test wants.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "net/http_server.h"

namespace msearch::test {

class ModelServer {
 public:
  struct Reply {
    int status = 200;
    std::vector<std::string> pieces;  // of the text
    bool done = true;                 // false: the stream ends in the middle
    bool streamed = true;             // false: one JSON object
    std::string raw;                  // instead of all that: this body
    std::string retry_after;
    Milliseconds delay{0};  // before the first piece
    Milliseconds between{0};
  };
  // Gets the request and how many came before it.
  using Answer = std::function<Reply(const Json& request, int before)>;

  explicit ModelServer(Answer answer) : answer_(std::move(answer)) {
    net::HttpServerOptions options;
    options.threads = 16;
    options.stop_grace = Milliseconds(0);
    options.problem = [](int status, const std::string& detail) {
      net::Response response;
      response.status = status;
      response.body = detail;
      return response;
    };
    net::Route route{"POST", "/v1/chat/completions", 64 << 20, {}, {}};
    route.handle = [this](const net::Request& request) { return Handle(request); };
    auto started = net::HttpServer::Start(options, {route});
    if (!started.ok()) abort();
    server_ = std::move(*started);
  }
  ~ModelServer() {
    ending_.request_stop();
    server_.reset();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  int calls() const { return calls_; }
  int most_at_once() const { return most_at_once_; }
  Json last_request() const {
    const std::lock_guard lock(mutex_);
    return last_request_;
  }
  std::string last_authorization() const {
    const std::lock_guard lock(mutex_);
    return last_authorization_;
  }

 private:
  static std::string Event(const Json& json) { return "data: " + DumpJson(json) + "\n\n"; }

  // Not a sleep to wait for something: the time is what is simulated.
  void Pass(Milliseconds time) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, ending_.get_token(), time, [] { return false; });
  }

  net::Response Handle(const net::Request& http) {
    const int now = ++at_once_;
    for (int most = most_at_once_; now > most && !most_at_once_.compare_exchange_weak(most, now);) {
    }
    const auto json = ParseJson(http.body);
    {
      const std::lock_guard lock(mutex_);
      last_request_ = json.ok() ? *json : Json();
      last_authorization_ = http.Header("authorization").value_or("");
    }
    const Reply reply = answer_(json.ok() ? *json : Json(), calls_++);
    net::Response response;
    response.status = reply.status;
    if (!reply.retry_after.empty()) response.headers.emplace("Retry-After", reply.retry_after);
    if (reply.status != 200 || !reply.raw.empty() || !reply.streamed) {
      Pass(reply.delay);
      response.body = reply.raw;
      if (reply.raw.empty() && reply.status != 200) {
        response.body = R"({"error": {"message": "out of order"}})";
      } else if (reply.raw.empty()) {
        std::string text;
        for (const std::string& piece : reply.pieces) text += piece;
        response.body = DumpJson(
            {{"model", "small"},
             {"choices", {{{"message", {{"content", text}}}, {"finish_reason", "stop"}}}}});
      }
      --at_once_;
      return response;
    }
    response.content_type = "text/event-stream";
    response.stream = [this, reply](std::shared_ptr<net::Stream> stream) {
      Pass(reply.delay);
      for (const std::string& piece : reply.pieces) {
        if (!stream->Write(
                Event({{"model", "small"}, {"choices", {{{"delta", {{"content", piece}}}}}}}))) {
          break;
        }
        if (reply.between.count() > 0) Pass(reply.between);
      }
      if (reply.done) {
        stream->Write(
            Event({{"choices", {{{"delta", Json::object()}, {"finish_reason", "stop"}}}}}));
        stream->Write("data: [DONE]\n\n");
      }
      --at_once_;
    };
    return response;
  }

  const Answer answer_;
  std::stop_source ending_;
  std::atomic<int> calls_{0};
  std::atomic<int> at_once_{0};
  std::atomic<int> most_at_once_{0};
  mutable std::mutex mutex_;
  Json last_request_;               // by mutex_
  std::string last_authorization_;  // by mutex_
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace msearch::test
