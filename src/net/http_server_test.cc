#include "net/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <condition_variable>
#include <filesystem>
#include <future>
#include <latch>
#include <mutex>
#include <semaphore>
#include <thread>

#include "base/strings.h"

namespace msearch::net {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

// A client that sends what it is told to, however broken, and gives up after ten seconds.
class Connection {
 public:
  explicit Connection(uint16_t port, int receive_buffer_bytes = 0)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0) {
      setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(int));
    }
    timeval patience{10, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  bool Ask(const std::string& method, const std::string& target, const std::string& headers = "",
           const std::string& body = "") {
    std::string length =
        body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return Send(method + " " + target + " HTTP/1.1\r\nHost: t\r\n" + headers + length + "\r\n" +
                body);
  }
  Answer Get(const std::string& target, const std::string& headers = "") {
    Ask("GET", target, headers);
    return Receive();
  }

  // Status 0 when the connection ended or nothing came. `with_body` is false after HEAD.
  Answer Receive(bool with_body = true) {
    Answer answer = ReceiveHead();
    if (answer.status == 0 || !with_body) return answer;
    if (answer.headers.contains("transfer-encoding")) {
      for (std::string piece = ReceiveChunk(); !piece.empty(); piece = ReceiveChunk()) {
        answer.body += piece;
      }
    } else if (answer.headers.contains("content-length")) {
      answer.body = Take(std::stoull(answer.headers["content-length"]));
    }
    return answer;
  }
  Answer ReceiveHead() {
    while (pending_.find("\r\n\r\n") == std::string::npos) {
      if (!More()) return {};
    }
    size_t end = pending_.find("\r\n\r\n");
    Answer answer;
    answer.status = std::stoi(pending_.substr(9, 3));
    for (std::string_view line : Split(std::string_view(pending_).substr(0, end), '\n')) {
      size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      answer.headers[AsciiLower(line.substr(0, colon))] = Trim(line.substr(colon + 1));
    }
    pending_.erase(0, end + 4);
    return answer;
  }
  // Empty at the end of the body, or of the connection.
  std::string ReceiveChunk() {
    while (pending_.find("\r\n") == std::string::npos) {
      if (!More()) return "";
    }
    size_t size = std::stoull(pending_, nullptr, 16);
    pending_.erase(0, pending_.find("\r\n") + 2);
    std::string chunk = Take(size);
    Take(2);
    return chunk;
  }
  std::string ReceiveToEnd() {
    while (More()) {
    }
    return std::move(pending_);
  }
  bool open() {
    if (!pending_.empty()) return true;
    char byte;
    return recv(fd_.get(), &byte, 1, MSG_PEEK) > 0;
  }
  void Close() { fd_.Reset(); }
  void FinishSending() { shutdown(fd_.get(), SHUT_WR); }

 private:
  bool More() {
    char buffer[65536];
    ssize_t got = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    pending_.append(buffer, static_cast<size_t>(got));
    return true;
  }
  std::string Take(size_t size) {
    while (pending_.size() < size && More()) {
    }
    std::string taken = pending_.substr(0, size);
    pending_.erase(0, size);
    return taken;
  }

  Fd fd_;
  std::string pending_;
};

// Holds back whoever waits until it is opened.
class Gate {
 public:
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

// Keeps what a handler was given until the test wants it.
template <typename T>
class Box {
 public:
  void Put(T value) {
    std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  T Take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !values_.empty(); });
    T value = std::move(values_.front());
    values_.erase(values_.begin());
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> values_;
};

Response Text(std::string body) {
  Response response;
  response.content_type = "text/plain";
  response.body = std::move(body);
  return response;
}

Route Handled(const std::string& method, const std::string& pattern,
              std::function<Response(const Request&)> handle) {
  Route route;
  route.method = method;
  route.pattern = pattern;
  route.handle = std::move(handle);
  return route;
}

Route Async(const std::string& pattern,
            std::function<void(std::shared_ptr<const Request>, Responder)> handle) {
  Route route;
  route.method = "GET";
  route.pattern = pattern;
  route.handle_async = std::move(handle);
  return route;
}

Route Hello() {
  return Handled("GET", "/hello", [](const Request&) { return Text("hello"); });
}

std::unique_ptr<HttpServer> Serve(std::vector<Route> routes, HttpServerOptions options = {}) {
  auto server = HttpServer::Start(options, std::move(routes));
  EXPECT_TRUE(server.ok());
  return std::move(*server);
}

TEST(HttpServer, ConnectionServesManyRequests) {
  auto server = Serve({Hello()});
  Connection connection(server->port());
  for (int i = 0; i < 100; ++i) {
    Answer answer = connection.Get("/hello");
    ASSERT_EQ(answer.status, 200);
    ASSERT_EQ(answer.body, "hello");
  }
  EXPECT_EQ(server->counters().requests, 100u);
  EXPECT_EQ(server->counters().connections, 1u);
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  auto server = Serve(
      {Handled("GET", "/echo/{x}", [](const Request& r) { return Text(r.path_arguments[0]); })});
  Connection connection(server->port());
  for (int i = 0; i < 20; ++i) connection.Ask("GET", "/echo/" + std::to_string(i));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(connection.Receive().body, std::to_string(i));
}

TEST(HttpServer, HandlerSeesTheWholeRequest) {
  Box<Request> seen;
  auto server = Serve({Handled("POST", "/api/{name}", [&](const Request& request) {
    seen.Put(request);
    return Text("");
  })});
  Connection connection(server->port());
  connection.Ask("POST", "/api/a%20b?q=x+y&q=2",
                 "X-Thing: One\r\nCookie: token=t1; a=b\r\nx-thing: Two\r\n", "{\"body\":1}");
  EXPECT_EQ(connection.Receive().status, 200);
  Request request = seen.Take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/api/a b");
  EXPECT_EQ(request.path_arguments, std::vector<std::string>{"a b"});
  EXPECT_EQ(request.Query("q"), "x y");
  EXPECT_EQ(request.Query("absent"), std::nullopt);
  EXPECT_EQ(request.Header("x-thing"), "One, Two");
  EXPECT_EQ(request.cookies["token"], "t1");
  EXPECT_EQ(request.body, "{\"body\":1}");
  EXPECT_EQ(request.remote, "127.0.0.1");
}

TEST(HttpServer, IdleConnectionsStarveNobody) {
  auto server = Serve({Hello()});
  std::vector<std::unique_ptr<Connection>> idle;
  for (int i = 0; i < 200; ++i) {
    idle.push_back(std::make_unique<Connection>(server->port()));
    ASSERT_EQ(idle.back()->Get("/hello").status, 200);
  }
  EXPECT_EQ(Connection(server->port()).Get("/hello").status, 200);
  for (auto& connection : idle) EXPECT_EQ(connection->Get("/hello").status, 200);
}

TEST(HttpServer, SlowHandlersDoNotHoldUpOthers) {
  Gate gate;
  HttpServerOptions options;
  options.threads = 3;
  std::counting_semaphore<> entered(0);
  auto server = Serve({Hello(), Handled("GET", "/slow",
                                        [&](const Request&) {
                                          entered.release();
                                          gate.Wait();
                                          return Text("late");
                                        })},
                      options);
  Connection first(server->port()), second(server->port());
  first.Ask("GET", "/slow");
  second.Ask("GET", "/slow");
  entered.acquire();
  entered.acquire();
  EXPECT_EQ(Connection(server->port()).Get("/hello").body, "hello");
  gate.Open();
  EXPECT_EQ(first.Receive().body, "late");
  EXPECT_EQ(second.Receive().body, "late");
}

TEST(HttpServer, MoreRequestsThanMayWaitAreSentAway) {
  Gate gate;
  std::latch entered(1);
  HttpServerOptions options;
  options.threads = 1;
  options.waiting_max = 1;
  std::once_flag once;
  auto server = Serve({Handled("GET", "/slow",
                               [&](const Request&) {
                                 std::call_once(once, [&] { entered.count_down(); });
                                 gate.Wait();
                                 return Text("late");
                               })},
                      options);
  Connection running(server->port());
  running.Ask("GET", "/slow");
  entered.wait();
  std::vector<std::unique_ptr<Connection>> others;
  for (int i = 0; i < 4; ++i) {
    others.push_back(std::make_unique<Connection>(server->port()));
    others.back()->Ask("GET", "/slow");
  }
  // Three of them are answered while the handler is still busy, the fourth waits for it.
  std::vector<std::future<Answer>> answers;
  for (auto& other : others) {
    answers.push_back(std::async(std::launch::async, [&other] { return other->Receive(); }));
  }
  while (server->counters().errors < 3) std::this_thread::yield();
  gate.Open();
  int sent_away = 0;
  for (auto& future : answers) {
    Answer answer = future.get();
    if (answer.status != 503) {
      EXPECT_EQ(answer.body, "late");
      continue;
    }
    EXPECT_EQ(answer.headers["retry-after"], "1");
    ++sent_away;
  }
  EXPECT_EQ(sent_away, 3);
  EXPECT_EQ(running.Receive().body, "late");
}

TEST(HttpServer, LongPollIsAnsweredFromAnotherThread) {
  Box<Responder> waiting;
  auto server = Serve({Hello(), Async("/poll", [&](std::shared_ptr<const Request>, Responder r) {
                         waiting.Put(std::move(r));
                       })});
  // More of them than threads.
  std::vector<std::unique_ptr<Connection>> polls;
  for (int i = 0; i < 50; ++i) {
    polls.push_back(std::make_unique<Connection>(server->port()));
    polls.back()->Ask("GET", "/poll");
  }
  EXPECT_EQ(Connection(server->port()).Get("/hello").status, 200);
  for (int i = 0; i < 50; ++i) waiting.Take()(Text("news"));
  for (auto& poll : polls) EXPECT_EQ(poll->Receive().body, "news");
  polls[0]->Ask("GET", "/hello");
  EXPECT_EQ(polls[0]->Receive().body, "hello");
}

TEST(HttpServer, AnswerWithinTheHandlerIsFine) {
  auto server = Serve({Async("/now", [](std::shared_ptr<const Request> request, Responder r) {
    r(Text(request->path));
  })});
  Connection connection(server->port());
  for (int i = 0; i < 200; ++i) ASSERT_EQ(connection.Get("/now").body, "/now");
}

TEST(HttpServer, DroppedResponderIsAnInternalError) {
  auto server = Serve({Async("/drop", [](std::shared_ptr<const Request>, Responder) {})});
  Connection connection(server->port());
  EXPECT_EQ(connection.Get("/drop").status, 500);
  EXPECT_EQ(connection.Get("/drop").status, 500);
  EXPECT_EQ(server->counters().errors, 2u);
}

TEST(HttpServer, ExceptionIsAnInternalError) {
  auto server =
      Serve({Handled("GET", "/throw", [](const Request&) -> Response { throw std::bad_alloc(); })});
  Connection connection(server->port());
  EXPECT_EQ(connection.Get("/throw").status, 500);
  EXPECT_EQ(connection.Get("/throw").status, 500);
}

TEST(HttpServer, UnmatchedRequestsGetTheProblemMade) {
  HttpServerOptions options;
  options.problem = [](int status, const std::string& detail) {
    Response response;
    response.content_type = "application/problem+json";
    response.body = std::to_string(status) + " " + detail;
    return response;
  };
  auto server =
      Serve({Hello(), Handled("POST", "/hello", [](const Request&) { return Text(""); })}, options);
  Connection connection(server->port());
  Answer missing = connection.Get("/nothing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.headers["content-type"], "application/problem+json");
  EXPECT_EQ(missing.body, "404 /nothing: no such resource");
  connection.Ask("DELETE", "/hello");
  Answer wrong = connection.Receive();
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers["allow"], "GET, HEAD, POST");
  EXPECT_EQ(connection.Get("/hello").status, 200);
}

TEST(HttpServer, GateAnswersBeforeRoutes) {
  HttpServerOptions options;
  options.gate = [](const Request& request) -> std::optional<Response> {
    if (request.Header("authorization") == "Bearer t") return std::nullopt;
    Response response = Text("token?");
    response.status = 401;
    return response;
  };
  auto server = Serve({Handled("POST", "/x", [](const Request&) { return Text("in"); })}, options);
  Connection connection(server->port());
  connection.Ask("POST", "/x", "", "some body");
  EXPECT_EQ(connection.Receive().status, 401);
  connection.Ask("POST", "/x", "Authorization: Bearer t\r\n", "some body");
  EXPECT_EQ(connection.Receive().body, "in");
}

class BodyTest : public testing::Test {
 protected:
  BodyTest() {
    Route route = Handled("POST", "/put",
                          [](const Request& r) { return Text(std::to_string(r.body.size())); });
    route.body_bytes_max = 1000;
    server_ = Serve({std::move(route)});
  }
  std::unique_ptr<HttpServer> server_;
};

TEST_F(BodyTest, BoundIsInclusive) {
  Connection connection(server_->port());
  connection.Ask("POST", "/put", "", std::string(1000, 'b'));
  EXPECT_EQ(connection.Receive().body, "1000");
  connection.Ask("POST", "/put", "", std::string(1001, 'b'));
  EXPECT_EQ(connection.Receive().status, 413);
  connection.Ask("POST", "/put", "", "small");
  EXPECT_EQ(connection.Receive().body, "5");
}

TEST_F(BodyTest, HugeBodyIsRefusedUnread) {
  Connection connection(server_->port());
  connection.Send("POST /put HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000000\r\n\r\n");
  EXPECT_EQ(connection.Receive().status, 413);
}

TEST_F(BodyTest, ExpectationIsAnsweredBeforeTheBody) {
  Connection connection(server_->port());
  connection.Send(
      "POST /put HTTP/1.1\r\nHost: t\r\nContent-Length: 2000\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.Receive().status, 413);
  Connection patient(server_->port());
  patient.Send(
      "POST /put HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(patient.ReceiveHead().status, 100);
  patient.Send("body");
  EXPECT_EQ(patient.Receive().body, "4");
}

TEST_F(BodyTest, ChunkedBodyIsBoundedToo) {
  const std::string head = "POST /put HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  Connection connection(server_->port());
  connection.Send(head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(connection.Receive().body, "5");
  const std::string chunk = "400\r\n" + std::string(1024, 'c') + "\r\n";
  connection.Send(head + chunk + chunk + "0\r\n\r\n");
  EXPECT_EQ(connection.Receive().status, 413);
  // One that never ends is cut off.
  connection.Send(head);
  int sent = 0;
  while (sent < 100000 && connection.Send(chunk)) ++sent;
  EXPECT_LT(sent, 100000);
}

TEST(HttpServer, UploadIsSpooledForAsLongAsTheRequest) {
  TemporaryDirectory directory;
  HttpServerOptions options;
  options.form_memory_bytes_max = 1000;
  options.spool_directory = directory.path();
  Route route = Handled("POST", "/upload", [](const Request& request) {
    EXPECT_EQ(request.form.size(), 2u);
    EXPECT_EQ(request.form[0].value, "words");
    return Text(ReadFile(request.form[1].spooled_path).value_or("unreadable"));
  });
  route.body_bytes_max = 10 << 20;
  auto server = Serve({std::move(route)}, options);
  std::string content;
  for (int i = 0; i < 200000; ++i) content += std::to_string(i) + "\r\n";
  Connection connection(server->port());
  connection.Ask("POST", "/upload", "Content-Type: multipart/form-data; boundary=b\r\n",
                 "--b\r\nContent-Disposition: form-data; name=q\r\n\r\nwords\r\n"
                 "--b\r\nContent-Disposition: form-data; name=image; filename=f\r\n\r\n" +
                     content + "\r\n--b--\r\n");
  EXPECT_EQ(connection.Receive().body, content);
  connection.Ask("POST", "/upload", "Content-Type: multipart/form-data; boundary=b\r\n", "broken");
  EXPECT_EQ(connection.Receive().status, 400);
  server.reset();
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(HttpServer, UrlEncodedFormIsParsed) {
  auto server = Serve({Handled("POST", "/form", [](const Request& request) {
    return Text(request.form.at(0).name + "=" + request.form.at(0).value);
  })});
  Connection connection(server->port());
  const std::string type = "Content-Type: application/x-www-form-urlencoded\r\n";
  connection.Ask("POST", "/form", type, "a=b+%26c");
  EXPECT_EQ(connection.Receive().body, "a=b &c");
  connection.Ask("POST", "/form", type, "a=%00");
  EXPECT_EQ(connection.Receive().status, 400);
}

class FileTest : public testing::Test {
 protected:
  FileTest() {
    for (int i = 0; i < 700000; ++i) content_ += std::to_string(i);
    std::string path = directory_.path() + "/f";
    EXPECT_TRUE(WriteFileAtomically(path, content_).ok());
    auto file = std::make_shared<Fd>(std::move(*OpenFile(path, O_RDONLY)));
    EXPECT_TRUE(WriteFileAtomically(path + "0", "").ok());
    auto empty = std::make_shared<Fd>(std::move(*OpenFile(path + "0", O_RDONLY)));
    auto answer = [](std::shared_ptr<Fd> fd) {
      return [fd](const Request&) {
        Response response;
        response.content_type = "video/mp4";
        response.file = fd;
        response.etag = "\"v1\"";
        return response;
      };
    };
    server_ =
        Serve({Handled("GET", "/file", answer(file)), Handled("GET", "/empty", answer(empty))});
  }
  TemporaryDirectory directory_;
  std::string content_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(FileTest, WholeFileIsSent) {
  Connection connection(server_->port());
  Answer answer = connection.Get("/file");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body == content_);
  EXPECT_EQ(answer.headers["content-type"], "video/mp4");
  EXPECT_EQ(answer.headers["accept-ranges"], "bytes");
  EXPECT_EQ(answer.headers["etag"], "\"v1\"");
  EXPECT_EQ(connection.Get("/empty").status, 200);
}

TEST_F(FileTest, RangeIsSent) {
  Connection connection(server_->port());
  Answer answer = connection.Get("/file", "Range: bytes=100-3000099\r\n");
  EXPECT_EQ(answer.status, 206);
  EXPECT_TRUE(answer.body == content_.substr(100, 3000000));
  EXPECT_EQ(answer.headers["content-range"],
            "bytes 100-3000099/" + std::to_string(content_.size()));
  EXPECT_EQ(connection.Get("/file", "Range: bytes=-5\r\n").body,
            content_.substr(content_.size() - 5));
  answer = connection.Get("/file", "Range: bytes=99999999-\r\n");
  EXPECT_EQ(answer.status, 416);
  EXPECT_EQ(answer.headers["content-range"], "bytes */" + std::to_string(content_.size()));
}

TEST_F(FileTest, HeadSaysTheLengthOnly) {
  Connection connection(server_->port());
  connection.Ask("HEAD", "/file");
  Answer answer = connection.Receive(false);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers["content-length"], std::to_string(content_.size()));
  connection.Ask("HEAD", "/file", "Range: bytes=0-9\r\n");
  EXPECT_EQ(connection.Receive(false).headers["content-length"], "10");
  EXPECT_EQ(connection.Get("/file", "Range: bytes=0-3\r\n").body, "0123");
}

TEST_F(FileTest, UnchangedFileIsNotSentAgain) {
  Connection connection(server_->port());
  Answer answer = connection.Get("/file", "If-None-Match: \"v1\"\r\n");
  EXPECT_EQ(answer.status, 304);
  EXPECT_EQ(answer.headers["etag"], "\"v1\"");
  EXPECT_EQ(connection.Get("/file", "If-None-Match: \"v0\"\r\nRange: bytes=0-0\r\n").status, 206);
}

class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    HttpServerOptions options;
    options.stop_grace = Milliseconds(0);
    server_ = Serve({Hello(), Handled("GET", "/events",
                                      [this](const Request&) {
                                        Response response;
                                        response.content_type = "text/event-stream";
                                        response.stream = [this](std::shared_ptr<Stream> stream) {
                                          streams_.Put(std::move(stream));
                                        };
                                        return response;
                                      })},
                    options);
  }
  Box<std::shared_ptr<Stream>> streams_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(StreamTest, PiecesArriveAsTheyAreWritten) {
  Connection connection(server_->port());
  connection.Ask("GET", "/events");
  std::shared_ptr<Stream> stream = streams_.Take();
  EXPECT_EQ(connection.ReceiveHead().headers["content-type"], "text/event-stream");
  for (int i = 0; i < 50; ++i) {
    std::string piece = "data: " + std::to_string(i) + "\n\n";
    ASSERT_TRUE(stream->Write(piece));
    ASSERT_EQ(connection.ReceiveChunk(), piece);
  }
  EXPECT_FALSE(stream->closed());
  stream.reset();
  EXPECT_EQ(connection.ReceiveChunk(), "");
  EXPECT_EQ(connection.Get("/hello").body, "hello");
}

TEST_F(StreamTest, WhatWasWrittenBeforeTheEndArrives) {
  Connection connection(server_->port());
  connection.Ask("GET", "/events");
  std::string bytes(900000, 'e');
  streams_.Take()->Write(bytes);
  EXPECT_TRUE(connection.Receive().body == bytes);
}

TEST_F(StreamTest, SlowReaderIsCutOff) {
  Connection connection(server_->port(), 4096);
  connection.Ask("GET", "/events");
  std::shared_ptr<Stream> stream = streams_.Take();
  std::string piece(64 << 10, 's');
  size_t written = 0;
  while (written < (256 << 20) && stream->Write(piece)) written += piece.size();
  EXPECT_LT(written, 256u << 20);
  EXPECT_TRUE(stream->closed());
  EXPECT_FALSE(stream->Write("more"));
  EXPECT_LT(connection.ReceiveToEnd().size(), written);
  EXPECT_EQ(Connection(server_->port()).Get("/hello").body, "hello");
}

TEST_F(StreamTest, PeerThatLeftIsNoticedByWriting) {
  Connection connection(server_->port());
  connection.Ask("GET", "/events");
  std::shared_ptr<Stream> stream = streams_.Take();
  connection.ReceiveHead();
  connection.Close();
  while (stream->Write(": still there?\n")) std::this_thread::yield();
  while (!stream->closed()) std::this_thread::yield();
  EXPECT_FALSE(stream->Write("x"));
}

TEST_F(StreamTest, StopEndsStreams) {
  Connection connection(server_->port());
  connection.Ask("GET", "/events");
  std::shared_ptr<Stream> stream = streams_.Take();
  ASSERT_TRUE(stream->Write("last words"));
  server_.reset();
  EXPECT_EQ(connection.Receive().body, "last words");
  EXPECT_TRUE(stream->closed());
  EXPECT_FALSE(stream->Write("x"));
}

// A file that grows when the test says so.
class TestFile : public GrowingFile {
 public:
  explicit TestFile(std::shared_ptr<std::atomic<bool>> gone) : gone_(std::move(gone)) {}
  ~TestFile() override { *gone_ = true; }
  Result<std::optional<size_t>> Read(uint64_t offset, char* out, size_t size,
                                     std::function<void()> more) override {
    std::lock_guard lock(mutex_);
    if (offset < bytes_.size()) {
      return std::optional<size_t>(bytes_.copy(out, size, offset));
    }
    if (broken_) return Error{Code::kTooLarge, "test: broken"};
    if (ended_) return std::optional<size_t>(0);
    more_ = std::move(more);
    return std::optional<size_t>();
  }
  void Grow(std::string_view bytes) {
    Tell([&] { bytes_ += bytes; });
  }
  void End() {
    Tell([&] { ended_ = true; });
  }
  void Break() {
    Tell([&] { broken_ = true; });
  }

 private:
  template <typename Change>
  void Tell(Change&& change) {
    std::function<void()> more;
    {
      std::lock_guard lock(mutex_);
      change();
      more = std::exchange(more_, nullptr);
    }
    if (more) more();
  }

  const std::shared_ptr<std::atomic<bool>> gone_;
  std::mutex mutex_;
  std::string bytes_;
  bool ended_ = false;
  bool broken_ = false;
  std::function<void()> more_;
};

class GrowingFileTest : public testing::Test {
 protected:
  GrowingFileTest() {
    server_ = Serve({Handled("GET", "/f", [this](const Request&) {
      gone_ = std::make_shared<std::atomic<bool>>(false);
      auto file = std::make_shared<TestFile>(gone_);
      file_.Put(file);
      Response response;
      response.growing = std::move(file);
      return response;
    })});
  }
  // As a file that nobody else holds.
  std::weak_ptr<TestFile> Asked(Connection& connection) {
    connection.Ask("GET", "/f");
    return file_.Take();
  }

  std::shared_ptr<std::atomic<bool>> gone_;
  Box<std::weak_ptr<TestFile>> file_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(GrowingFileTest, BytesArriveAsTheyAreMade) {
  Connection connection(server_->port());
  const auto file = Asked(connection);
  file.lock()->Grow("first");
  EXPECT_EQ(connection.ReceiveHead().status, 200);
  EXPECT_EQ(connection.ReceiveChunk(), "first");
  const std::string large(3 << 20, 'x');  // more than any buffer on the way
  file.lock()->Grow(large);
  std::string got;
  while (got.size() < large.size()) got += connection.ReceiveChunk();
  EXPECT_EQ(got, large);
  file.lock()->End();
  EXPECT_EQ(connection.ReceiveChunk(), "");
  connection.Ask("GET", "/f");  // the connection goes on
  file_.Take().lock()->End();
  EXPECT_EQ(connection.Receive().status, 200);
}

TEST_F(GrowingFileTest, AFaultCutsTheAnswer) {
  Connection connection(server_->port());
  const auto file = Asked(connection);
  file.lock()->Grow("first");
  EXPECT_EQ(connection.ReceiveHead().status, 200);
  EXPECT_EQ(connection.ReceiveChunk(), "first");
  file.lock()->Break();
  EXPECT_EQ(connection.ReceiveToEnd(), "");  // a whole answer ends with a chunk of nothing
}

TEST_F(GrowingFileTest, IsLetGoWhenThePeerHasLeft) {
  std::weak_ptr<TestFile> file;
  {
    Connection connection(server_->port());
    file = Asked(connection);
    file.lock()->Grow("first");
    EXPECT_EQ(connection.ReceiveHead().status, 200);
  }
  while (const auto held = file.lock()) held->Grow(std::string(1000, 'x'));
  EXPECT_TRUE(*gone_);
}

TEST_F(GrowingFileTest, IsLetGoWhenTheServerStops) {
  Connection connection(server_->port());
  const auto file = Asked(connection);
  file.lock()->Grow("first");
  EXPECT_EQ(connection.ReceiveHead().status, 200);
  server_.reset();
  EXPECT_TRUE(*gone_);
}

TEST(HttpServer, HostileBytesHarmOnlyTheirConnection) {
  HttpServerOptions options;
  options.idle_timeout_s = 1;  // ends those whose request stays incomplete
  auto server = Serve({Hello()}, options);
  std::string zeros(100, '\0');
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02\x00\x01\xff\xfe\r\n\r\n"), zeros + "\r\n\r\n",
        std::string("GET\r\n\r\n"), std::string("\r\n\r\n\r\nGARBAGE / \r\nx\r\n\r\n"),
        "GET /" + std::string(100000, 'a') + " HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: t\r\nX: " + std::string(100000, 'h') + "\r\n\r\n",
        std::string("GET /hello HTTP/1.1\r\n\r\n"),
        std::string("POST /hello HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n"),
        std::string("POST /hello HTTP/1.1\r\nHost: t\r\nContent-Length: abc\r\n\r\n"),
        std::string(
            "POST /hello HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    Connection connection(server->port());
    connection.Send(bytes);
    connection.FinishSending();
    std::string answer = connection.ReceiveToEnd();
    EXPECT_THAT(answer, AnyOf("", StartsWith("HTTP/1.1 4"), StartsWith("HTTP/1.1 5"),
                              StartsWith("HTTP/1.0 4")))
        << bytes.substr(0, 50);
    ASSERT_EQ(Connection(server->port()).Get("/hello").status, 200);
  }
}

TEST(HttpServer, HostilePathsAreBadRequests) {
  auto server = Serve({Handled("GET", "/{rest...}", [](const Request&) { return Text(""); })});
  Connection connection(server->port());
  for (const char* path : {"/%00", "/a/../b", "/..%2f..%2fetc/passwd", "/%ff%fe", "/%x"}) {
    EXPECT_EQ(connection.Get(path).status, 400) << path;
  }
  EXPECT_EQ(connection.Get("/fine").status, 200);
}

TEST(HttpServer, RunningRequestsEndBeforeTheServerDoes) {
  Gate gate;
  std::latch entered(1);
  HttpServerOptions options;
  options.stop_grace = Milliseconds(60000);
  auto server = Serve({Handled("GET", "/slow",
                               [&](const Request&) {
                                 entered.count_down();
                                 gate.Wait();
                                 return Text("done");
                               })},
                      options);
  uint16_t port = server->port();
  Connection connection(port);
  connection.Ask("GET", "/slow");
  entered.wait();
  std::jthread stopping([&] { server.reset(); });
  // The listening socket is closed at once.
  while (HttpServer::Start({.port = port}, {}).ok() == false) std::this_thread::yield();
  gate.Open();
  Answer answer = connection.Receive();
  EXPECT_EQ(answer.body, "done");
  EXPECT_FALSE(connection.open());
}

TEST(HttpServer, StopAnswersForThoseThatWait) {
  Box<Responder> waiting;
  HttpServerOptions options;
  options.stop_grace = Milliseconds(0);
  auto server = Serve({Async("/poll", [&](std::shared_ptr<const Request>,
                                          Responder r) { waiting.Put(std::move(r)); })},
                      options);
  Connection connection(server->port());
  connection.Ask("GET", "/poll");
  Responder responder = waiting.Take();
  server.reset();
  EXPECT_EQ(connection.Receive().status, 503);
  responder(Text("too late"));
}

TEST(HttpServer, TakenPortIsAConflict) {
  auto server = Serve({Hello()});
  HttpServerOptions options;
  options.port = server->port();
  auto second = HttpServer::Start(options, {Hello()});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.code(), Code::kConflict);
  EXPECT_THAT(second.message(), HasSubstr("127.0.0.1:" + std::to_string(options.port)));
}

TEST(HttpServer, ForeignAddressIsInvalid) {
  for (const char* host : {"192.0.2.1", "no such host"}) {
    HttpServerOptions options;
    options.host = host;
    auto server = HttpServer::Start(options, {Hello()});
    ASSERT_FALSE(server.ok());
    EXPECT_EQ(server.code(), Code::kInvalid) << server.message();
  }
}

TEST(HttpServer, ManyClientsAtOnceAreServedCorrectly) {
  auto server = Serve({Handled("POST", "/echo", [](const Request& r) { return Text(r.body); })});
  std::vector<std::jthread> clients;
  std::atomic<int> wrong = 0;
  for (int client = 0; client < 16; ++client) {
    clients.emplace_back([&, client] {
      Connection connection(server->port());
      for (int i = 0; i < 200; ++i) {
        std::string body = std::to_string(client) + ":" + std::to_string(i);
        connection.Ask("POST", "/echo", "", body);
        if (connection.Receive().body != body) ++wrong;
      }
    });
  }
  clients.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace msearch::net
