// The bytes between whoever feeds a streamed answer and the thread that sends them, or a file that
// grows meanwhile.
#pragma once

#include <microhttpd.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "net/http_server.h"

namespace msearch::net {

// Thread-safe.
class ResponseStream : public std::enable_shared_from_this<ResponseStream> {
 public:
  static constexpr size_t kWaitingBytesMax = 1 << 20;

  ResponseStream() = default;
  explicit ResponseStream(std::shared_ptr<GrowingFile> file) : file_(std::move(file)) {}

  // What the feeder gets: ends the answer when its last copy goes.
  static std::shared_ptr<Stream> Handle(std::shared_ptr<ResponseStream> stream);
  // What sends it. REQUIRES: Attach was called.
  static MHD_Response* MakeResponse(std::shared_ptr<ResponseStream> stream);

  bool Write(std::string_view bytes);
  bool closed() const;
  // What is waiting is still sent, then the answer ends; of a file the rest is missing, so it is
  // cut.
  void End();
  // Nothing more is sent and the connection is closed.
  void Cut();

  // The request's connection; the stream may suspend it until Detach.
  void Attach(MHD_Connection* connection);
  void Detach();

 private:
  static ssize_t Read(void* stream, uint64_t position, char* out, size_t bytes_max);
  static void Free(void* stream);
  ssize_t ReadSome(uint64_t position, char* out, size_t bytes_max);
  ssize_t ReadFile(uint64_t position, char* out, size_t bytes_max);  // REQUIRES: mutex_ held
  void Suspend();                                                    // REQUIRES: mutex_ held
  void Wake();                                                       // REQUIRES: mutex_ held
  void CutLocked();                                                  // REQUIRES: mutex_ held

  mutable std::mutex mutex_;  // guards all below
  MHD_Connection* connection_ = nullptr;
  std::shared_ptr<GrowingFile> file_;
  std::string waiting_;
  size_t sent_ = 0;  // of waiting_
  bool suspended_ = false;
  bool ended_ = false;
  bool cut_ = false;
  bool detached_ = false;
};

}  // namespace msearch::net
