#include "net/http_client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"

// A download remembers beside its part ("PATH.resume") which version of the file the part is of:
// the strong ETag or the date that the server gave. It is continued with If-Range, so that a server
// with another version sends the whole file (200) instead of the rest (206). Redirects are followed
// here rather than by libcurl, because only here it is known whether HTTPS was used before.

namespace msearch::net {
namespace {

constexpr size_t kHeaderBytesMax = 256 << 10;
constexpr int kRedirectsMax = 10;
constexpr long kStalledSeconds = 60;

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;
using Form = std::unique_ptr<curl_mime, decltype(&curl_mime_free)>;

void SetDefaults(CURL* curl) {
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "msearch");
}

Handle NewHandle() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  Handle handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) abort();  // only for lack of a few kilobytes
  SetDefaults(handle.get());
  return handle;
}

// This thread's handle, whose connections stay open between calls.
CURL* KeptHandle() {
  thread_local const Handle kept = NewHandle();
  curl_easy_reset(kept.get());
  SetDefaults(kept.get());
  return kept.get();
}

// The kernel asks a silent peer for a sign of life, and gives up one that owes it an
// acknowledgement for too long. So waiting for a slow server and waiting for one that is gone are
// told apart.
int WatchPeer(void* silence_max, curl_socket_t socket, curlsocktype) {
  const auto total_ms = static_cast<unsigned>(*static_cast<const int64_t*>(silence_max));
  const int one = 1;
  const int idle_s = std::max(1, static_cast<int>(total_ms / 2000));
  const int interval_s = std::max(1, static_cast<int>(total_ms / 4000));
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &total_ms, sizeof(total_ms));
  return CURL_SOCKOPT_OK;
}

// `silence_max` has to live as long as the transfer.
void SetWatch(CURL* curl, int64_t* silence_max) {
  curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, WatchPeer);
  curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, silence_max);
}

// One request and what comes back, as libcurl's callbacks see it.
struct Exchange {
  HttpResponse response;
  size_t header_bytes = 0;
  std::function<Result<>(std::string_view)> on_body;
  std::stop_token stop;
  std::optional<Error> fault;  // why a callback ended the transfer
};

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line(data, size * count);
  exchange.header_bytes += line.size();
  if (exchange.header_bytes > kHeaderBytesMax) {
    exchange.fault = Error{Code::kTooLarge, "answer: more than 256 KiB of headers"};
    return 0;
  }
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    exchange.response.headers.clear();  // of an interim answer
  } else if (colon != std::string_view::npos) {
    exchange.response.headers[AsciiLower(Trim(line.substr(0, colon)))] =
        std::string(Trim(line.substr(colon + 1)));
  }
  return line.size();
}

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const Result<> taken = exchange.on_body({data, size * count});
  if (taken.ok()) return size * count;
  exchange.fault = taken.error();
  return CURL_WRITEFUNC_ERROR;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(user)->stop.stop_requested() ? 1 : 0;
}

// The status is known from the first byte of the body on.
long StatusOf(CURL* handle) {
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

Result<> Perform(CURL* handle, const std::string& url, Exchange& exchange) {
  char detail[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &exchange);
  const CURLcode code = curl_easy_perform(handle);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, nullptr);
  exchange.response.status = static_cast<int>(StatusOf(handle));
  if (code == CURLE_OK) return Ok{};
  if (exchange.fault) return Error{exchange.fault->code, url + ": " + exchange.fault->message};
  const std::string text = url + ": " + (detail[0] != '\0' ? detail : curl_easy_strerror(code));
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return Error{Code::kCancelled, url + ": cancelled"};
    case CURLE_OPERATION_TIMEDOUT:
      return Error{Code::kTimeout, text};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return Error{Code::kInvalid, text};
    default:
      return Error{Code::kUnavailable, text};
  }
}

Form MakeForm(CURL* handle, const std::vector<FormPart>& parts) {
  Form form(curl_mime_init(handle), curl_mime_free);
  for (const FormPart& part : parts) {
    curl_mimepart* piece = curl_mime_addpart(form.get());
    curl_mime_name(piece, part.name.c_str());
    if (!part.file_path.empty()) {
      curl_mime_filedata(piece, part.file_path.c_str());
    } else {
      curl_mime_data(piece, part.value.data(), part.value.size());
    }
    if (!part.content_type.empty()) curl_mime_type(piece, part.content_type.c_str());
  }
  return form;
}

}  // namespace

Result<HttpResponse> Fetch(const HttpRequest& request) {
  const Handle own = request.keep_alive ? Handle(nullptr, curl_easy_cleanup) : NewHandle();
  CURL* curl = request.keep_alive ? KeptHandle() : own.get();
  HeaderList headers(nullptr, curl_slist_free_all);
  auto add_header = [&](const std::string& line) {
    headers.reset(curl_slist_append(headers.release(), line.c_str()));
  };
  for (const std::string& line : request.headers) add_header(line);
  add_header("Expect:");  // no waiting for "100 Continue"
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  int64_t silence_max = request.silence_max.count();
  SetWatch(curl, &silence_max);
  const Form form = MakeForm(curl, request.form);
  if (!request.form.empty()) {
    curl_easy_setopt(curl, CURLOPT_MIMEPOST, form.get());
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  }
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else {
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());

  Exchange exchange;
  exchange.stop = request.stop;
  uint64_t received = 0;
  exchange.on_body = [&](std::string_view bytes) -> Result<> {
    received += bytes.size();
    if (received > request.body_bytes_max) {
      return Error{Code::kTooLarge,
                   "answer: more than " + std::to_string(request.body_bytes_max) + " bytes"};
    }
    if (!request.on_data) {
      exchange.response.body += bytes;
    } else if (!request.on_data(bytes)) {
      return Error{Code::kCancelled, "cancelled"};
    }
    return Ok{};
  };
  TRY(Perform(curl, request.url, exchange));
  return std::move(exchange.response);
}

std::string UrlEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

namespace {

Error StatusError(const std::string& url, int status) {
  const std::string text = url + ": HTTP status " + std::to_string(status);
  if (status == 404 || status == 410) return {Code::kNotFound, text};
  if (status == 401 || status == 403) return {Code::kPermission, text};
  if (status == 408 || status == 429 || status >= 500) return {Code::kUnavailable, text};
  return {Code::kInvalid, text};
}

std::string Header(const HttpResponse& response, const std::string& name) {
  const auto it = response.headers.find(name);
  return it == response.headers.end() ? "" : it->second;
}

// What identifies this version of the file at the server; empty when nothing does.
std::string Validator(const HttpResponse& response) {
  const std::string etag = Header(response, "etag");
  if (etag.starts_with('"')) return etag;  // a weak one (W/) says nothing about single bytes
  return Header(response, "last-modified");
}

uint64_t LengthOf(const HttpResponse& response) {
  const std::string text = Header(response, "content-length");
  uint64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

class Downloader {
 public:
  explicit Downloader(const Download& download)
      : download_(download), resume_path_(download.path + ".resume"), url_(download.url) {}

  Result<> Run() {
    file_ = TRY(OpenFile(download_.path, O_WRONLY | O_CREAT));
    TRY(FindPart());
    for (int redirects = 0; redirects <= kRedirectsMax; ++redirects) {
      Exchange exchange;
      const Handle handle = NewHandle();
      const Result<> done = Once(handle.get(), exchange);
      const int status = exchange.response.status;
      if (status == 416 && done_ > 0) {  // the part is longer than the file has become
        TRY(StartAgain());
        continue;
      }
      TRY(done);
      if (status == 200 || status == 206) return Finish();
      if (status < 300 || status >= 400) return StatusError(url_, status);
      TRY(Redirect(handle.get()));
    }
    return Error{Code::kUnavailable, download_.url + ": too many redirects"};
  }

 private:
  Result<> FindPart() {
    struct stat info {};
    if (fstat(file_.get(), &info) != 0) return ErrnoError(download_.path, errno);
    const Result<std::string> text = ReadFile(resume_path_, 1 << 16);
    const Result<Json> json = text.ok() ? ParseJson(*text) : Result<Json>(text.error());
    if (info.st_size > 0 && json.ok() && GetString(*json, "url") == download_.url) {
      validator_ = GetString(*json, "validator").value_or("");
    }
    if (validator_.empty()) return StartAgain();
    done_ = static_cast<uint64_t>(info.st_size);
    return Ok{};
  }

  Result<> StartAgain() {
    done_ = 0;
    validator_.clear();
    if (ftruncate(file_.get(), 0) != 0) return ErrnoError(download_.path, errno);
    return Ok{};
  }

  Result<> Once(CURL* curl, Exchange& exchange) {
    HeaderList headers(nullptr, curl_slist_free_all);
    auto add_header = [&](const std::string& line) {
      headers.reset(curl_slist_append(headers.release(), line.c_str()));
    };
    if (url_ == download_.url) {
      for (const std::string& line : download_.headers) add_header(line);
    }
    if (done_ > 0) {
      add_header("If-Range: " + validator_);
      curl_easy_setopt(curl, CURLOPT_RANGE, (std::to_string(done_) + "-").c_str());
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
    int64_t silence_max = download_.silence_max.count();
    SetWatch(curl, &silence_max);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
    exchange.stop = download_.stop;
    bool begun = false;
    exchange.on_body = [&, curl](std::string_view bytes) -> Result<> {
      const long status = StatusOf(curl);
      if (status != 200 && status != 206) return Ok{};  // the text of an error or a redirect
      if (!begun) TRY(Begin(status, exchange.response));
      begun = true;
      return Write(bytes);
    };
    TRY(Perform(curl, url_, exchange));
    const int status = exchange.response.status;
    if (!begun && (status == 200 || status == 206)) TRY(Begin(status, exchange.response));
    return Ok{};
  }

  Result<> Begin(long status, const HttpResponse& response) {
    if (status == 200) TRY(StartAgain());
    if (status == 206 &&
        !Header(response, "content-range").starts_with("bytes " + std::to_string(done_) + "-")) {
      return Error{Code::kUnavailable, "sent another range than the one asked for"};
    }
    const uint64_t length = LengthOf(response);
    total_ = length == 0 ? 0 : done_ + length;
    if (total_ > download_.bytes_max) return TooLarge();
    if (lseek(file_.get(), static_cast<off_t>(done_), SEEK_SET) < 0) {
      return ErrnoError(download_.path, errno);
    }
    if (status != 200) return Ok{};
    const Json resume = {{"url", download_.url}, {"validator", Validator(response)}};
    return WriteFileAtomically(resume_path_, DumpJson(resume));
  }

  Result<> Write(std::string_view bytes) {
    if (done_ + bytes.size() > download_.bytes_max) return TooLarge();
    TRY(WriteAll(file_.get(), bytes));
    done_ += bytes.size();
    if (download_.progress) download_.progress(done_, total_);
    return Ok{};
  }

  Error TooLarge() const {
    return {Code::kTooLarge, "larger than " + std::to_string(download_.bytes_max) + " bytes"};
  }

  Result<> Redirect(CURL* curl) {
    const char* target = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &target);
    if (target == nullptr) return Error{Code::kUnavailable, url_ + ": redirected to nowhere"};
    const std::string next = target;
    if (AsciiLower(url_).starts_with("https:") && !AsciiLower(next).starts_with("https:")) {
      return Error{Code::kPermission, url_ + ": redirected from HTTPS to " + next};
    }
    url_ = next;
    return Ok{};
  }

  Result<> Finish() {
    if (fdatasync(file_.get()) != 0) return ErrnoError(download_.path, errno);
    unlink(resume_path_.c_str());
    return Ok{};
  }

  const Download& download_;
  const std::string resume_path_;
  std::string url_;
  std::string validator_;
  Fd file_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

Result<> DownloadFile(const Download& download) { return Downloader(download).Run(); }

}  // namespace msearch::net
