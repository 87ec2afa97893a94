// While nothing waits the connection is suspended, so that it costs neither a thread nor a wake-up;
// the next write resumes it. MHD calls Read on the thread that owns the connection, and only
// there it is suspended, under the mutex under which it is resumed.
#include "net/response_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace msearch::net {
namespace {

constexpr size_t kBlockBytes = 16 << 10;

class StreamHandle : public Stream {
 public:
  explicit StreamHandle(std::shared_ptr<ResponseStream> stream) : stream_(std::move(stream)) {}
  ~StreamHandle() override { stream_->End(); }
  bool Write(std::string_view bytes) override { return stream_->Write(bytes); }
  bool closed() const override { return stream_->closed(); }

 private:
  std::shared_ptr<ResponseStream> stream_;
};

}  // namespace

std::shared_ptr<Stream> ResponseStream::Handle(std::shared_ptr<ResponseStream> stream) {
  return std::make_shared<StreamHandle>(std::move(stream));
}

MHD_Response* ResponseStream::MakeResponse(std::shared_ptr<ResponseStream> stream) {
  auto* owner = new std::shared_ptr<ResponseStream>(std::move(stream));
  return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, kBlockBytes, &Read, owner, &Free);
}

ssize_t ResponseStream::Read(void* stream, uint64_t position, char* out, size_t bytes_max) {
  return (*static_cast<std::shared_ptr<ResponseStream>*>(stream))
      ->ReadSome(position, out, bytes_max);
}

void ResponseStream::Free(void* stream) {
  delete static_cast<std::shared_ptr<ResponseStream>*>(stream);
}

ssize_t ResponseStream::ReadSome(uint64_t position, char* out, size_t bytes_max) {
  std::lock_guard lock(mutex_);
  if (cut_) return MHD_CONTENT_READER_END_WITH_ERROR;
  if (file_) return ReadFile(position, out, bytes_max);
  if (sent_ < waiting_.size()) {
    size_t size = std::min(bytes_max, waiting_.size() - sent_);
    std::memcpy(out, waiting_.data() + sent_, size);
    sent_ += size;
    if (sent_ == waiting_.size()) {
      waiting_.clear();
      sent_ = 0;
    }
    return static_cast<ssize_t>(size);
  }
  if (ended_) return MHD_CONTENT_READER_END_OF_STREAM;
  Suspend();
  return 0;
}

ssize_t ResponseStream::ReadFile(uint64_t position, char* out, size_t bytes_max) {
  // Called from another thread, where it waits for the mutex until the connection is suspended.
  auto more = [self = weak_from_this()] {
    const auto stream = self.lock();
    if (!stream) return;
    std::lock_guard lock(stream->mutex_);
    stream->Wake();
  };
  const auto read = file_->Read(position, out, bytes_max, std::move(more));
  if (!read.ok()) return MHD_CONTENT_READER_END_WITH_ERROR;
  if (!*read) {
    Suspend();
    return 0;
  }
  return **read == 0 ? MHD_CONTENT_READER_END_OF_STREAM : static_cast<ssize_t>(**read);
}

void ResponseStream::Suspend() {
  suspended_ = true;
  MHD_suspend_connection(connection_);
}

void ResponseStream::Wake() {
  if (!suspended_) return;
  suspended_ = false;
  MHD_resume_connection(connection_);
}

bool ResponseStream::Write(std::string_view bytes) {
  std::lock_guard lock(mutex_);
  if (ended_ || cut_ || detached_) return false;
  if (waiting_.size() - sent_ + bytes.size() > kWaitingBytesMax) {
    CutLocked();
    return false;
  }
  if (sent_ > waiting_.size() / 2) {
    waiting_.erase(0, sent_);
    sent_ = 0;
  }
  waiting_.append(bytes);
  Wake();
  return true;
}

bool ResponseStream::closed() const {
  std::lock_guard lock(mutex_);
  return ended_ || cut_ || detached_;
}

void ResponseStream::End() {
  std::lock_guard lock(mutex_);
  if (file_) return CutLocked();
  ended_ = true;
  Wake();
}

void ResponseStream::Cut() {
  std::lock_guard lock(mutex_);
  CutLocked();
}

void ResponseStream::CutLocked() {
  cut_ = true;
  waiting_ = {};
  sent_ = 0;
  if (connection_ == nullptr) return;
  // The sender may be waiting for the socket to take more, for as long as the idle time-out:
  // shutting the socket down ends that. MHD closes it only after Detach, so it is still ours.
  const MHD_ConnectionInfo* info =
      MHD_get_connection_info(connection_, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info != nullptr) shutdown(info->connect_fd, SHUT_RDWR);
  Wake();
}

void ResponseStream::Attach(MHD_Connection* connection) {
  std::lock_guard lock(mutex_);
  connection_ = connection;
}

void ResponseStream::Detach() {
  std::shared_ptr<GrowingFile> file;  // let go without the mutex
  std::lock_guard lock(mutex_);
  file = std::move(file_);
  cut_ = cut_ || file != nullptr;
  detached_ = true;
  connection_ = nullptr;
  suspended_ = false;
  waiting_ = {};
  sent_ = 0;
}

}  // namespace msearch::net
