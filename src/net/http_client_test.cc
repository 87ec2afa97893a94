#include "net/http_client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "support/tiny_server.h"

namespace msearch::net {
namespace {

using test::HeaderOf;
using test::HttpAnswer;
using test::TinyServer;

HttpRequest Get(const std::string& url) {
  HttpRequest request;
  request.url = url;
  return request;
}

TEST(Fetch, GivesStatusHeadersAndBodyOfAnyAnswer) {
  const TinyServer server([](const std::string&) {
    return HttpAnswer("404 Not Found", {"X-Reason: gone fishing"}, "nothing here");
  });
  const auto answer = Fetch(Get(server.Url("/")));
  ASSERT_TRUE(answer.ok()) << answer.message();
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->headers.at("x-reason"), "gone fishing");
  EXPECT_EQ(answer->body, "nothing here");
}

TEST(Fetch, SendsMethodHeadersAndBody) {
  const TinyServer server(
      [](const std::string& request) { return HttpAnswer("200 OK", {}, request); });
  HttpRequest request = Get(server.Url("/things?a=b"));
  request.method = "POST";
  request.headers = {"X-Token: secret"};
  request.body = std::string("with\0zero", 9);
  const auto answer = Fetch(request);
  ASSERT_TRUE(answer.ok()) << answer.message();
  EXPECT_TRUE(answer->body.starts_with("POST /things?a=b HTTP/1.1"));
  EXPECT_EQ(HeaderOf(answer->body, "x-token"), "secret");
  EXPECT_TRUE(answer->body.ends_with(request.body));
}

TEST(Fetch, KeepsAConnectionWithoutMixingItsRequests) {
  const TinyServer server(
      [](const std::string& request) { return HttpAnswer("200 OK", {}, request); });
  HttpRequest post = Get(server.Url("/first"));
  post.keep_alive = true;
  post.method = "POST";
  post.headers = {"X-Token: secret"};
  post.body = "words";
  ASSERT_TRUE(Fetch(post).ok());
  // What the first was told concerns the second not, and a connection that the server closed
  // meanwhile is opened anew.
  HttpRequest get = Get(server.Url("/second"));
  get.keep_alive = true;
  const auto answer = Fetch(get);
  ASSERT_TRUE(answer.ok()) << answer.message();
  EXPECT_TRUE(answer->body.starts_with("GET /second HTTP/1.1"));
  EXPECT_EQ(HeaderOf(answer->body, "x-token"), "");
  EXPECT_FALSE(answer->body.ends_with("words"));
}

// A server on a machine of its own (a network namespace) that takes a request and never answers.
// Its cable can be pulled, so that nothing comes back, not even that it is gone.
class FarServer {
 public:
  FarServer() {
    const std::string id = std::to_string(getpid() % 10000);
    name_ = "mh" + id;
    const std::string net = "10.76." + std::to_string(getpid() % 250);
    ok_ = geteuid() == 0 && Run("ip netns add " + name_) &&
          Run("ip link add " + name_ + "a type veth peer name far netns " + name_) &&
          Run("ip addr add " + net + ".1/24 dev " + name_ + "a") &&
          Run("ip link set " + name_ + "a up") &&
          Run("ip -n " + name_ + " addr add " + net + ".2/24 dev far") &&
          Run("ip -n " + name_ + " link set far up");
    if (!ok_) return;
    std::promise<int> port;
    thread_ = std::thread([&] { Serve(&port); });
    url_ = "http://" + net + ".2:" + std::to_string(port.get_future().get()) + "/";
  }
  ~FarServer() {
    if (listening_.valid()) shutdown(listening_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    Run("ip link del " + name_ + "a");
    Run("ip netns del " + name_);
  }
  bool ok() const { return ok_; }
  const std::string& url() const { return url_; }
  void AwaitRequest() { asked_.get_future().wait(); }
  void PullCable() const { Run("ip -n " + name_ + " link set far down"); }

 private:
  static bool Run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
  }
  void Serve(std::promise<int>* port) {
    const Fd net(open(("/run/netns/" + name_).c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(setns(net.get(), CLONE_NEWNET), 0);
    listening_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listening_.get(), 1), 0);
    getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port->set_value(ntohs(address.sin_port));
    const Fd connection(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char byte = 0;
    (void)!read(connection.get(), &byte, 1);
    asked_.set_value();
    (void)!accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC);  // until it is shut down
  }

  std::string name_;
  std::string url_;
  bool ok_ = false;
  Fd listening_;
  std::promise<void> asked_;
  std::thread thread_;
};

TEST(Fetch, NoticesThatTheMachineOfItsServerIsGone) {
  FarServer server;
  if (!server.ok()) GTEST_SKIP() << "no network namespaces here (root and iproute2 are needed)";
  std::stop_source give_up;
  HttpRequest request = Get(server.url());
  request.timeout = std::chrono::hours(1);
  request.silence_max = Milliseconds(1000);
  request.stop = give_up.get_token();
  auto answer = std::async(std::launch::async, [&] { return Fetch(request); });
  server.AwaitRequest();
  server.PullCable();
  EXPECT_EQ(answer.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  give_up.request_stop();
  const auto result = answer.get();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.code(), Code::kUnavailable) << result.message();
}

TEST(Fetch, SendsFormsWithFiles) {
  const TinyServer server(
      [](const std::string& request) { return HttpAnswer("200 OK", {}, request); });
  const TemporaryDirectory folder;
  ASSERT_TRUE(WriteFileAtomically(folder.path() + "/cat.jpg", "the bytes of a cat").ok());
  HttpRequest request = Get(server.Url("/"));
  request.method = "POST";
  request.form = {{"query", "cat", "", ""},
                  {"image", "", folder.path() + "/cat.jpg", "image/jpeg"}};
  const auto answer = Fetch(request);
  ASSERT_TRUE(answer.ok()) << answer.message();
  EXPECT_NE(answer->body.find("name=\"image\"; filename=\"cat.jpg\""), std::string::npos);
  EXPECT_NE(answer->body.find("the bytes of a cat"), std::string::npos);
}

TEST(Fetch, SaysThatNothingAnswers) {
  std::string url;
  {
    const TinyServer server([](const std::string&) { return ""; });
    url = server.Url("/");
  }
  const auto answer = Fetch(Get(url));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.code(), Code::kUnavailable);
  EXPECT_TRUE(answer.message().starts_with(url)) << answer.message();
}

TEST(Fetch, RefusesAnAnswerThatIsTooLarge) {
  const TinyServer server(
      [](const std::string&) { return HttpAnswer("200 OK", {}, std::string(5000, 'x')); });
  HttpRequest request = Get(server.Url("/"));
  request.body_bytes_max = 4999;
  EXPECT_EQ(Fetch(request).code(), Code::kTooLarge);
  request.body_bytes_max = 5000;
  EXPECT_TRUE(Fetch(request).ok());
}

TEST(Fetch, HandsOverTheBodyInPiecesAndEndsWhenTold) {
  const TinyServer server(
      [](const std::string&) { return HttpAnswer("200 OK", {}, std::string(200000, 'x')); });
  HttpRequest request = Get(server.Url("/"));
  size_t received = 0;
  request.on_data = [&](std::string_view bytes) {
    received += bytes.size();
    return true;
  };
  const auto whole = Fetch(request);
  ASSERT_TRUE(whole.ok()) << whole.message();
  EXPECT_EQ(received, 200000U);
  EXPECT_TRUE(whole->body.empty());
  request.on_data = [](std::string_view) { return false; };
  EXPECT_EQ(Fetch(request).code(), Code::kCancelled);
}

TEST(Fetch, GivesUpAfterItsTimeOrWhenStopped) {
  std::mutex silence;
  std::unique_lock hold(silence);
  const TinyServer server([&](const std::string&) {
    const std::lock_guard wait(silence);
    return HttpAnswer("200 OK", {}, "late");
  });
  HttpRequest request = Get(server.Url("/"));
  request.timeout = Milliseconds(50);
  EXPECT_EQ(Fetch(request).code(), Code::kTimeout);
  std::stop_source stop;
  stop.request_stop();
  request.timeout = Milliseconds(0);
  request.stop = stop.get_token();
  EXPECT_EQ(Fetch(request).code(), Code::kCancelled);
  hold.unlock();
}

// A file of which the server can send the rest, and which breaks off after `breaks_after` bytes
// the first time.
class File {
 public:
  File(std::string content, std::string etag)
      : content_(std::move(content)), etag_(std::move(etag)) {}

  std::string Answer(const std::string& request) {
    const std::lock_guard lock(mutex_);
    ++requests_;
    const std::string range = HeaderOf(request, "range");
    size_t from = 0;
    if (!range.empty() && HeaderOf(request, "if-range") == etag_) {
      from = std::stoul(range.substr(6));
      if (from >= content_.size()) return HttpAnswer("416 Range Not Satisfiable", {}, "");
      ranges_.push_back(range);
    }
    const std::string status = from > 0 ? "206 Partial Content" : "200 OK";
    std::vector<std::string> headers = {"ETag: " + etag_};
    if (from > 0) {
      headers.push_back("Content-Range: bytes " + std::to_string(from) + "-" +
                        std::to_string(content_.size() - 1) + "/" +
                        std::to_string(content_.size()));
    }
    std::string answer = HttpAnswer(status, headers, content_.substr(from));
    if (requests_ == 1 && breaks_after_ > 0) {
      answer.resize(answer.size() - content_.size() + breaks_after_);
    }
    return answer;
  }

  void BreakAfter(size_t bytes) { breaks_after_ = bytes; }
  void Replace(std::string content, std::string etag) {
    const std::lock_guard lock(mutex_);
    content_ = std::move(content);
    etag_ = std::move(etag);
  }
  std::vector<std::string> ranges() {
    const std::lock_guard lock(mutex_);
    return ranges_;
  }

 private:
  std::mutex mutex_;
  std::string content_, etag_;
  size_t breaks_after_ = 0;
  int requests_ = 0;
  std::vector<std::string> ranges_;
};

std::string Pattern(size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i) out += static_cast<char>('a' + i % 23);
  return out;
}

TEST(DownloadFile, WritesTheFileAndReportsProgress) {
  const TinyServer server(
      [](const std::string&) { return HttpAnswer("200 OK", {}, Pattern(100000)); });
  const TemporaryDirectory folder;
  uint64_t done = 0, total = 0;
  Download download{server.Url("/f"), folder.path() + "/f"};
  download.progress = [&](uint64_t d, uint64_t t) { done = d, total = t; };
  const auto result = DownloadFile(download);
  ASSERT_TRUE(result.ok()) << result.message();
  EXPECT_EQ(ReadFile(download.path).value(), Pattern(100000));
  EXPECT_EQ(done, 100000U);
  EXPECT_EQ(total, 100000U);
  EXPECT_FALSE(std::filesystem::exists(download.path + ".resume"));
}

TEST(DownloadFile, ContinuesWhereItBrokeOff) {
  File file(Pattern(50000), "\"v1\"");
  file.BreakAfter(20000);
  const TinyServer server([&](const std::string& request) { return file.Answer(request); });
  const TemporaryDirectory folder;
  const Download download{server.Url("/f"), folder.path() + "/f"};
  EXPECT_EQ(DownloadFile(download).code(), Code::kUnavailable);
  EXPECT_EQ(std::filesystem::file_size(download.path), 20000U);
  const auto second = DownloadFile(download);
  ASSERT_TRUE(second.ok()) << second.message();
  EXPECT_EQ(ReadFile(download.path).value(), Pattern(50000));
  EXPECT_EQ(file.ranges(), std::vector<std::string>{"bytes=20000-"});
}

TEST(DownloadFile, StartsAgainWhenTheFileChangedAtTheServer) {
  File file(Pattern(50000), "\"v1\"");
  file.BreakAfter(20000);
  const TinyServer server([&](const std::string& request) { return file.Answer(request); });
  const TemporaryDirectory folder;
  const Download download{server.Url("/f"), folder.path() + "/f"};
  EXPECT_FALSE(DownloadFile(download).ok());
  const std::string changed(30000, 'z');
  file.Replace(changed, "\"v2\"");
  const auto second = DownloadFile(download);
  ASSERT_TRUE(second.ok()) << second.message();
  EXPECT_EQ(ReadFile(download.path).value(), changed);
}

TEST(DownloadFile, StartsAgainWhenThePartIsLongerThanTheFile) {
  File file(Pattern(50000), "\"v1\"");
  file.BreakAfter(20000);
  const TinyServer server([&](const std::string& request) { return file.Answer(request); });
  const TemporaryDirectory folder;
  const Download download{server.Url("/f"), folder.path() + "/f"};
  EXPECT_FALSE(DownloadFile(download).ok());
  file.Replace(Pattern(10), "\"v1\"");
  const auto second = DownloadFile(download);
  ASSERT_TRUE(second.ok()) << second.message();
  EXPECT_EQ(ReadFile(download.path).value(), Pattern(10));
}

TEST(DownloadFile, NeverContinuesAPartOfUnknownOrigin) {
  const TinyServer server([](const std::string&) { return HttpAnswer("200 OK", {}, "fresh"); });
  const TemporaryDirectory folder;
  const Download download{server.Url("/f"), folder.path() + "/f"};
  ASSERT_TRUE(WriteFileAtomically(download.path, "left over by somebody else").ok());
  ASSERT_TRUE(DownloadFile(download).ok());
  EXPECT_EQ(ReadFile(download.path).value(), "fresh");
}

TEST(DownloadFile, FollowsRedirectsButNotForEver) {
  std::atomic<int> requests = 0;
  const TinyServer server([&](const std::string& request) {
    ++requests;
    if (request.starts_with("GET /file ")) return HttpAnswer("200 OK", {}, "here");
    if (request.starts_with("GET /moved ")) {
      return HttpAnswer("302 Found", {"Location: /file"}, "elsewhere");
    }
    return HttpAnswer("302 Found", {"Location: /loop"}, "");
  });
  const TemporaryDirectory folder;
  ASSERT_TRUE(DownloadFile({server.Url("/moved"), folder.path() + "/f"}).ok());
  EXPECT_EQ(ReadFile(folder.path() + "/f").value(), "here");
  requests = 0;
  EXPECT_EQ(DownloadFile({server.Url("/loop"), folder.path() + "/g"}).code(), Code::kUnavailable);
  EXPECT_LE(requests.load(), 11);
}

TEST(DownloadFile, TellsWhyTheServerRefused) {
  const TinyServer server([](const std::string& request) {
    return HttpAnswer(request.starts_with("GET /a ") ? "404 Not Found" : "503 Busy", {}, "text");
  });
  const TemporaryDirectory folder;
  EXPECT_EQ(DownloadFile({server.Url("/a"), folder.path() + "/f"}).code(), Code::kNotFound);
  EXPECT_EQ(DownloadFile({server.Url("/b"), folder.path() + "/f"}).code(), Code::kUnavailable);
}

TEST(DownloadFile, StopsAtItsLimit) {
  const TinyServer server(
      [](const std::string&) { return HttpAnswer("200 OK", {}, Pattern(5000)); });
  const TemporaryDirectory folder;
  Download download{server.Url("/f"), folder.path() + "/f"};
  download.bytes_max = 4999;
  EXPECT_EQ(DownloadFile(download).code(), Code::kTooLarge);
}

TEST(UrlEncode, EncodesAllButUnreservedCharacters) {
  EXPECT_EQ(UrlEncode("a-Z_0.~"), "a-Z_0.~");
  EXPECT_EQ(UrlEncode("a b/c?"), "a%20b%2Fc%3F");
  EXPECT_EQ(UrlEncode("蛙"), "%E8%9B%99");
}

}  // namespace
}  // namespace msearch::net
