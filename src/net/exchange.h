// One request and its answer, from its first line until the answer is out.
#pragma once

#include <microhttpd.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "net/handler_pool.h"
#include "net/http_server.h"
#include "net/multipart.h"
#include "net/response_stream.h"
#include "net/router.h"

namespace msearch::net {

class Exchange;

// What the exchanges of one server share.
struct ServerState {
  ServerState(const HttpServerOptions& server_options, std::vector<Route> routes)
      : options(server_options),
        router(std::move(routes)),
        pool(server_options.threads, static_cast<size_t>(server_options.waiting_max)) {}

  Response Problem(int status, const std::string& detail) const;

  const HttpServerOptions options;
  const Router router;
  HandlerPool pool;
  std::atomic<uint64_t> requests = 0;
  std::atomic<uint64_t> connections = 0;
  std::atomic<uint64_t> errors = 0;
  std::atomic<bool> stopping = false;

  std::mutex mutex;
  std::condition_variable changed;     // something left `open` while stopping
  std::unordered_set<Exchange*> open;  // guarded by mutex: from dispatch to completion
};

// MHD's thread that owns the connection calls Proceed and Completed; a pool thread runs the
// handler; any thread answers.
class Exchange : public HandlerPool::Job, public std::enable_shared_from_this<Exchange> {
 public:
  // Owned by itself until Completed.
  static Exchange* Start(ServerState& server, MHD_Connection* connection, const char* raw_target);

  // MHD's access handler: headers first, then pieces of the body, then nothing more.
  MHD_Result Proceed(const char* method, const char* upload, size_t* upload_size);
  void Completed();

  void Run() override;
  // Only the first answer counts: later ones come when the server answered in its stead.
  void Answer(Response response);
  // Answers 500.
  void Fail();
  // For the server's end.
  void EndStream();
  void CutStream();

 private:
  // A request with the temporary files that it names.
  struct OwnedRequest : Request {
    std::vector<SpooledFile> files;
  };
  enum class Phase { kNew, kReceiving, kHandling };

  Exchange(ServerState& server, MHD_Connection* connection, const char* raw_target);
  MHD_Result Begin(const char* method);
  void ReadHeaders(const char* method);
  std::optional<Response> Refusal();
  std::optional<Response> RefusalOfForm();
  bool Receive(std::string_view bytes);
  void FinishForm();
  void Refuse(int status, const std::string& detail);
  MHD_Result Dispatch();
  void KeepAnswer(Response response);  // REQUIRES: mutex_ held
  MHD_Result SendAnswer(std::unique_lock<std::mutex> lock);
  MHD_Result Send(Response response, std::shared_ptr<ResponseStream> stream = nullptr);
  Response SelectFromFile(Response response, uint64_t& offset, uint64_t& size);

  ServerState& server_;  // not used once answered
  MHD_Connection* const connection_;
  std::string raw_target_;
  std::shared_ptr<Exchange> self_;

  // Of the connection's thread, until the exchange is dispatched.
  Phase phase_ = Phase::kNew;
  std::shared_ptr<OwnedRequest> request_ = std::make_shared<OwnedRequest>();
  const Route* route_ = nullptr;
  std::optional<MultipartReader> form_;
  std::optional<Response> refusal_;  // sent when the body is over
  uint64_t announced_bytes_ = 0;
  uint64_t received_bytes_ = 0;
  bool registered_ = false;

  std::mutex mutex_;  // guards all below
  bool suspended_ = false;
  bool answered_ = false;
  Response response_;
  std::shared_ptr<ResponseStream> stream_;
};

}  // namespace msearch::net
