// HTTP server. The one include of libmicrohttpd. Knows no route of ours and no JSON.
//
// A few threads move bytes, a bounded pool runs the handlers; when more requests wait for the pool
// than it allows, they are answered 503 with Retry-After. Bodies are received before the handler
// runs, up to the route's bound; larger multipart files go to temporary files. A handler answers at
// once, or with a stream that later events feed (server-sent events), or later (long polls), so
// that thousands of waiting connections cost no thread.
//
// A peer that goes away is noticed when something is sent to it: whoever feeds a stream should
// write now and then (a comment line), and a long poll should end by itself.
//
// Of the routes that match a path, a literal part wins over {name}, {name} over {rest...}, whatever
// the method: what isn't among the methods of the winning pattern is answered 405. Only patterns
// that end in {rest...} stand side by side.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"

namespace msearch::net {

struct FormField {
  std::string name;
  std::string file_name;  // empty for a plain field
  std::string content_type;
  std::string value;         // the bytes (fields and files up to the memory bound)
  std::string spooled_path;  // or a temporary file that lives as long as the request
};

struct Request {
  std::string method;                       // "GET", ...; HEAD comes as GET, its body is dropped
  std::string path;                         // decoded, without query; never contains ".." parts
  std::vector<std::string> path_arguments;  // what {name} parts of the route matched, decoded
  std::multimap<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::map<std::string, std::string> cookies;
  std::string body;
  std::vector<FormField> form;  // multipart/form-data or urlencoded
  std::string remote;           // address of the peer
  std::optional<std::string> Query(const std::string& name) const;
  std::optional<std::string> Header(const std::string& lower_case_name) const;
};

// Feeds an answer piece by piece. Thread-safe. Dropping the last copy ends the answer.
class Stream {
 public:
  virtual ~Stream() = default;
  // False when the peer is gone or has 1 MiB waiting unread (it is then cut off).
  virtual bool Write(std::string_view bytes) = 0;
  virtual bool closed() const = 0;
};

// A file that is still being written, sent as it grows. Thread-safe.
class GrowingFile {
 public:
  virtual ~GrowingFile() = default;
  // Up to `size` bytes from `offset` on; 0 at the end. Nullopt when there are none yet: then `more`
  // is called once, later and from another thread, when that may have changed. After an error the
  // connection is cut, so that the peer doesn't take the beginning for the whole.
  virtual Result<std::optional<size_t>> Read(uint64_t offset, char* out, size_t size,
                                             std::function<void()> more) = 0;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::multimap<std::string, std::string> headers;
  std::string body;
  // Instead of body: a file, sent with sendfile; Range, If-Range, If-None-Match and HEAD are
  // answered from it (the conditional ones need `etag`). Its offset is neither used nor moved.
  std::shared_ptr<Fd> file;
  std::string etag;  // with quotes
  // Instead of body: sent as it grows and as the peer takes it, without ranges. Let go when the
  // peer has it or is gone.
  std::shared_ptr<GrowingFile> growing;
  // Instead of body: called once with the stream, on the thread that answers; what is written
  // before the headers are out waits.
  std::function<void(std::shared_ptr<Stream>)> stream;
};

// Answers a request later, from any thread; calling it twice is a bug. Dropped unanswered: 500.
using Responder = std::function<void(Response)>;

struct Route {
  std::string method;
  std::string pattern;  // "/api/media/{id}/content"; "{rest...}" matches slashes too
  uint64_t body_bytes_max = 1 << 20;
  // Exactly one of them. `handle` runs on a pool thread and may block for as long as its work
  // needs; `handle_async` must return soon and answer through the responder.
  std::function<Response(const Request&)> handle;
  std::function<void(std::shared_ptr<const Request>, Responder)> handle_async;
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: a free one
  int io_threads = 2;
  int threads = 8;         // handlers at a time
  int waiting_max = 1024;  // requests that wait for a handler's thread
  int connections_max = 2000;
  int idle_timeout_s = 60;
  uint64_t form_memory_bytes_max = 32 << 20;  // per file; beyond: spooled
  std::string spool_directory;                // for large uploads; empty: the system's
  Milliseconds stop_grace{2000};              // for requests that run when the server stops
  // Called before routing, with the headers only; a response ends the request there (access
  // token, Host and Origin checks). May be empty. Runs on the threads that move bytes: it must
  // not wait.
  std::function<std::optional<Response>(const Request&)> gate;
  // Makes the answers for what no handler made: 404, 405 (with Allow), 413, 400, 500, 503.
  std::function<Response(int status, const std::string& detail)> problem;
};

class HttpServer {
 public:
  // Binds and serves. kConflict naming the address when it's taken; kPermission, kInvalid.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                   std::vector<Route> routes);
  // Stops accepting, ends streams, lets requests end within the grace, answers 503 to those that
  // didn't, joins (so a handler that never returns keeps it waiting).
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  struct Counters {
    uint64_t requests = 0;
    uint64_t connections = 0;  // open now
    uint64_t errors = 0;       // answers of 500 and above
  };
  virtual Counters counters() const = 0;
};

}  // namespace msearch::net
