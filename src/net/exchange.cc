// A request passes through three phases. While its headers and body arrive everything happens on
// the connection's thread. Then its connection is suspended and a pool thread runs the handler.
// The answer, from whichever thread it comes, is kept and the connection resumed, upon which MHD
// calls Proceed once more and the answer is queued, again on the connection's thread.
//
// A request that is refused before its body arrived (gate, no such route, too large) is answered
// at once when the body is large, which closes the connection; a small body is swallowed first,
// since closing with unread bytes resets the connection and may cost the peer the answer.
#include "net/exchange.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <exception>

#include "base/log.h"
#include "base/strings.h"
#include "net/byte_range.h"
#include "net/request_target.h"

namespace msearch::net {
namespace {

constexpr uint64_t kSwallowBytesMax = 1 << 20;

std::string PeerAddress(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (info == nullptr || info->client_addr == nullptr) return "";
  const sockaddr* peer = info->client_addr;
  char text[INET6_ADDRSTRLEN] = "";
  if (peer->sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(peer)->sin_addr, text, sizeof text);
  } else if (peer->sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(peer)->sin6_addr, text, sizeof text);
  }
  std::string_view address = text;
  if (address.starts_with("::ffff:")) address.remove_prefix(7);
  return std::string(address);
}

MHD_Result AddHeader(void* headers, MHD_ValueKind, const char* name, size_t name_size,
                     const char* value, size_t value_size) {
  auto& map = *static_cast<std::map<std::string, std::string>*>(headers);
  std::string_view text = value == nullptr ? "" : std::string_view(value, value_size);
  auto [at, added] = map.emplace(AsciiLower({name, name_size}), text);
  if (!added) at->second.append(at->first == "cookie" ? "; " : ", ").append(text);
  return MHD_YES;
}

MHD_Response* BodyResponse(std::string body) {
  auto* owner = new std::string(std::move(body));
  return MHD_create_response_from_buffer_with_free_callback_cls(
      owner->size(), owner->data(), [](void* bytes) { delete static_cast<std::string*>(bytes); },
      owner);
}

void AddResponseHeader(MHD_Response* response, const char* name, const std::string& value) {
  if (MHD_add_response_header(response, name, value.c_str()) != MHD_YES) {
    LOG_ERROR("http: response header {} refused: {}", name, value);
  }
}

// Answers exactly once: when nobody did by the time the last copy of the responder goes, with 500.
class Promise {
 public:
  explicit Promise(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Promise() {
    if (!kept_) exchange_->Fail();
  }
  void Keep(Response response) {
    bool twice = kept_.exchange(true);
    assert(!twice);
    if (!twice) exchange_->Answer(std::move(response));
  }

 private:
  std::shared_ptr<Exchange> exchange_;
  std::atomic<bool> kept_ = false;
};

}  // namespace

Response ServerState::Problem(int status, const std::string& detail) const {
  Response response;
  if (options.problem) {
    response = options.problem(status, detail);
  } else {
    response.content_type = "text/plain; charset=utf-8";
    response.body = detail + "\n";
  }
  response.status = status;
  if (status == 503) response.headers.emplace("Retry-After", "1");
  return response;
}

Exchange::Exchange(ServerState& server, MHD_Connection* connection, const char* raw_target)
    : server_(server), connection_(connection), raw_target_(raw_target) {}

Exchange* Exchange::Start(ServerState& server, MHD_Connection* connection, const char* raw_target) {
  std::shared_ptr<Exchange> exchange(new Exchange(server, connection, raw_target));
  exchange->self_ = exchange;
  return exchange.get();
}

MHD_Result Exchange::Proceed(const char* method, const char* upload, size_t* upload_size) {
  if (phase_ == Phase::kNew) return Begin(method);
  if (*upload_size > 0) {
    bool go_on = Receive({upload, *upload_size});
    *upload_size = 0;
    return go_on ? MHD_YES : MHD_NO;
  }
  if (phase_ == Phase::kReceiving) {
    FinishForm();
    if (refusal_) return Send(std::move(*refusal_));
    return Dispatch();
  }
  std::unique_lock lock(mutex_);
  assert(answered_);
  suspended_ = false;
  return SendAnswer(std::move(lock));
}

MHD_Result Exchange::Begin(const char* method) {
  phase_ = Phase::kReceiving;
  server_.requests.fetch_add(1, std::memory_order_relaxed);
  ReadHeaders(method);
  refusal_ = Refusal();
  if (!refusal_) return MHD_YES;
  bool has_body = announced_bytes_ > 0 || request_->headers.contains("transfer-encoding");
  bool waits = request_->headers.contains("expect");
  // An answer at this point makes MHD close the connection.
  if (has_body && (announced_bytes_ > kSwallowBytesMax || waits)) {
    return Send(std::move(*refusal_));
  }
  return MHD_YES;
}

void Exchange::ReadHeaders(const char* method) {
  Request& request = *request_;
  request.method = std::string_view(method) == "HEAD" ? "GET" : method;
  MHD_get_connection_values_n(connection_, MHD_HEADER_KIND, &AddHeader, &request.headers);
  if (auto cookie = request.Header("cookie")) request.cookies = ParseCookies(*cookie);
  if (auto length = request.Header("content-length")) {
    std::from_chars(length->data(), length->data() + length->size(), announced_bytes_);
  }
  request.remote = PeerAddress(connection_);
}

std::optional<Response> Exchange::Refusal() {
  Result<RequestTarget> target = ParseRequestTarget(raw_target_);
  if (!target.ok()) return server_.Problem(400, target.message());
  request_->path = std::move(target->path);
  request_->query = std::move(target->query);
  if (server_.options.gate) {
    if (auto refusal = server_.options.gate(*request_)) return refusal;
  }
  Router::Match match = server_.router.Find(request_->method, target->parts);
  if (match.route == nullptr && match.allow.empty()) {
    return server_.Problem(404, request_->path + ": no such resource");
  }
  if (match.route == nullptr) {
    Response response = server_.Problem(405, request_->path + ": no such method");
    response.headers.emplace("Allow", match.allow);
    return response;
  }
  route_ = match.route;
  request_->path_arguments = std::move(match.arguments);
  if (announced_bytes_ > route_->body_bytes_max) {
    return server_.Problem(
        413, "body: larger than " + std::to_string(route_->body_bytes_max) + " bytes");
  }
  return RefusalOfForm();
}

std::optional<Response> Exchange::RefusalOfForm() {
  std::string type = request_->Header("content-type").value_or("");
  if (!AsciiLower(type).starts_with("multipart/form-data")) {
    request_->body.reserve(announced_bytes_);
    return std::nullopt;
  }
  auto form = MultipartReader::Start(
      type, {server_.options.form_memory_bytes_max, server_.options.spool_directory});
  if (!form.ok()) return server_.Problem(400, form.message());
  form_.emplace(std::move(*form));
  return std::nullopt;
}

bool Exchange::Receive(std::string_view bytes) {
  received_bytes_ += bytes.size();
  if (refusal_) return received_bytes_ <= kSwallowBytesMax;
  if (received_bytes_ > route_->body_bytes_max) {
    Refuse(413, "body: larger than " + std::to_string(route_->body_bytes_max) + " bytes");
    received_bytes_ = 0;
  } else if (form_) {
    Result<> fed = form_->Feed(bytes);
    if (!fed.ok()) Refuse(fed.code() == Code::kInvalid ? 400 : 503, fed.message());
  } else {
    request_->body.append(bytes);
  }
  return true;
}

void Exchange::FinishForm() {
  if (refusal_) return;
  if (form_) {
    auto fields = form_->Finish();
    if (!fields.ok()) return Refuse(400, fields.message());
    request_->form = std::move(*fields);
    request_->files = form_->TakeFiles();
    form_.reset();
    return;
  }
  std::string type = AsciiLower(request_->Header("content-type").value_or(""));
  if (!type.starts_with("application/x-www-form-urlencoded")) return;
  auto fields = ParseUrlEncoded(request_->body);
  if (!fields.ok()) return Refuse(400, fields.message());
  for (auto& [name, value] : *fields) request_->form.push_back({.name = name, .value = value});
}

void Exchange::Refuse(int status, const std::string& detail) {
  refusal_ = server_.Problem(status, detail);
  form_.reset();
  request_->body = {};
}

MHD_Result Exchange::Dispatch() {
  {
    std::lock_guard lock(server_.mutex);
    if (!server_.stopping) {
      server_.open.insert(this);
      registered_ = true;
    }
  }
  if (!registered_) return Send(server_.Problem(503, "server: stopping"));
  phase_ = Phase::kHandling;
  if (!server_.pool.Add(self_)) return Send(server_.Problem(503, "server: too many requests"));
  std::unique_lock lock(mutex_);
  if (answered_) return SendAnswer(std::move(lock));
  suspended_ = true;
  MHD_suspend_connection(connection_);
  return MHD_YES;
}

void Exchange::Run() {
  {
    std::lock_guard lock(mutex_);
    if (answered_) return;
  }
  // Nothing of ours throws. A library that does in spite of its description, or memory that
  // can't be had, must not end the process that everybody else's requests depend on.
  try {
    if (route_->handle) return Answer(route_->handle(*request_));
    auto promise = std::make_shared<Promise>(shared_from_this());
    route_->handle_async(request_,
                         [promise](Response response) { promise->Keep(std::move(response)); });
  } catch (const std::exception& error) {
    LOG_ERROR("http: {} {}: {}", route_->method, route_->pattern, error.what());
    Fail();
  }
}

void Exchange::Answer(Response response) {
  std::function<void(std::shared_ptr<Stream>)> feed = std::move(response.stream);
  std::shared_ptr<ResponseStream> stream;
  if (feed) stream = std::make_shared<ResponseStream>();
  if (response.growing) stream = std::make_shared<ResponseStream>(std::move(response.growing));
  {
    std::lock_guard lock(mutex_);
    if (answered_) return;
    stream_ = stream;
    KeepAnswer(std::move(response));
  }
  if (feed) feed(ResponseStream::Handle(std::move(stream)));
}

void Exchange::Fail() {
  // Under the mutex throughout: the server can't end before it has answered in our stead.
  std::lock_guard lock(mutex_);
  if (!answered_) KeepAnswer(server_.Problem(500, "server: internal error"));
}

void Exchange::KeepAnswer(Response response) {
  answered_ = true;
  response_ = std::move(response);
  if (suspended_) MHD_resume_connection(connection_);
}

void Exchange::EndStream() {
  std::lock_guard lock(mutex_);
  if (stream_) stream_->End();
}

void Exchange::CutStream() {
  std::lock_guard lock(mutex_);
  if (stream_) stream_->Cut();
}

Response Exchange::SelectFromFile(Response response, uint64_t& offset, uint64_t& size) {
  struct stat status {};
  if (fstat(response.file->get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return server_.Problem(500, "file: can't be read");
  }
  auto total = static_cast<uint64_t>(status.st_size);
  Selection selection = SelectBytes(*request_, response.etag, total);
  response.status = selection.status;
  offset = selection.offset;
  size = selection.size;
  response.headers.emplace("Accept-Ranges", "bytes");
  if (selection.status == 206) {
    response.headers.emplace("Content-Range", "bytes " + std::to_string(offset) + "-" +
                                                  std::to_string(offset + size - 1) + "/" +
                                                  std::to_string(total));
  } else if (selection.status == 416) {
    response = server_.Problem(416, "range: beyond the end");
    response.headers.emplace("Content-Range", "bytes */" + std::to_string(total));
  }
  return response;
}

MHD_Result Exchange::SendAnswer(std::unique_lock<std::mutex> lock) {
  Response response = std::move(response_);
  std::shared_ptr<ResponseStream> stream = stream_;
  lock.unlock();
  return Send(std::move(response), std::move(stream));
}

MHD_Result Exchange::Send(Response response, std::shared_ptr<ResponseStream> stream) {
  uint64_t offset = 0, size = 0;
  if (response.file && response.status == 200) {
    response = SelectFromFile(std::move(response), offset, size);
  } else if (!stream && response.status == 200 && IsUnchanged(*request_, response.etag)) {
    response.status = 304;
    response.body.clear();
  }
  MHD_Response* raw = nullptr;
  if (stream) {
    stream->Attach(connection_);
    raw = ResponseStream::MakeResponse(std::move(stream));
  } else if (response.file && size > 0) {
    Fd copy(fcntl(response.file->get(), F_DUPFD_CLOEXEC, 0));
    raw = MHD_create_response_from_fd_at_offset64(size, copy.get(), offset);
    if (raw != nullptr) copy.Release();  // closed by MHD
  } else {
    raw = BodyResponse(std::move(response.body));
  }
  if (raw == nullptr) return MHD_NO;
  bool has_content = response.status != 204 && response.status != 304;
  if (has_content) AddResponseHeader(raw, "Content-Type", response.content_type);
  if (!response.etag.empty()) AddResponseHeader(raw, "ETag", response.etag);
  for (const auto& [name, value] : response.headers) AddResponseHeader(raw, name.c_str(), value);
  if (server_.stopping) AddResponseHeader(raw, "Connection", "close");
  if (response.status >= 500) server_.errors.fetch_add(1, std::memory_order_relaxed);
  MHD_Result queued = MHD_queue_response(connection_, static_cast<unsigned>(response.status), raw);
  MHD_destroy_response(raw);
  return queued;
}

void Exchange::Completed() {
  if (registered_) {
    std::lock_guard lock(server_.mutex);
    server_.open.erase(this);
    if (server_.stopping) server_.changed.notify_all();
  }
  {
    std::lock_guard lock(mutex_);
    answered_ = true;
    if (stream_) stream_->Detach();
  }
  self_.reset();
}

}  // namespace msearch::net
