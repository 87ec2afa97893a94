// A web server of one thread for tests of clients: each connection brings one request, which a
// function answers with the very bytes to send, broken ones included.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>

#include "base/file.h"
#include "base/strings.h"

namespace msearch::test {

class TinyServer {
 public:
  // Gets the request's head and body; what it returns is sent before the connection is closed.
  using Answer = std::function<std::string(const std::string& request)>;

  explicit TinyServer(Answer answer) : answer_(std::move(answer)) {
    socket_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(socket_.get(), generic, size) != 0 || listen(socket_.get(), 16) != 0 ||
        getsockname(socket_.get(), generic, &size) != 0) {
      abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { Run(); });
  }
  ~TinyServer() { shutdown(socket_.get(), SHUT_RDWR); }  // ends accept()

  std::string Url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  void Run() {
    while (true) {
      const Fd peer(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer.valid()) return;
      const std::string answer = answer_(ReadRequest(peer.get()));
      size_t sent = 0;
      while (sent < answer.size()) {
        const ssize_t put =
            send(peer.get(), answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
        if (put <= 0) break;
        sent += static_cast<size_t>(put);
      }
      shutdown(peer.get(), SHUT_WR);
    }
  }

  static std::string ReadRequest(int peer) {
    std::string request;
    char buffer[4096];
    size_t wanted = SIZE_MAX;
    while (request.size() < wanted) {
      const ssize_t got = recv(peer, buffer, sizeof(buffer), 0);
      if (got <= 0) break;
      request.append(buffer, static_cast<size_t>(got));
      const size_t head = request.find("\r\n\r\n");
      if (head == std::string::npos || wanted != SIZE_MAX) continue;
      const std::string lower = AsciiLower(request.substr(0, head));
      const size_t length = lower.find("content-length:");
      wanted = head + 4;
      if (length != std::string::npos) wanted += std::stoul(lower.substr(length + 15));
    }
    return request;
  }

  Answer answer_;
  Fd socket_;
  int port_ = 0;
  std::jthread thread_;
};

// "HTTP/1.1 STATUS", headers of "Name: value", and the body with its length.
inline std::string HttpAnswer(const std::string& status, const std::vector<std::string>& headers,
                              const std::string& body) {
  std::string out = "HTTP/1.1 " + status +
                    "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
                    "\r\n";
  for (const std::string& header : headers) out += header + "\r\n";
  return out + "\r\n" + body;
}

// The value of a request's header, by its name in lower case; empty when absent.
inline std::string HeaderOf(const std::string& request, const std::string& name) {
  for (std::string_view line : Split(request, '\n')) {
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && AsciiLower(line.substr(0, colon)) == name) {
      return std::string(Trim(line.substr(colon + 1)));
    }
  }
  return "";
}

}  // namespace msearch::test
