#include "net/http_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <mutex>

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
