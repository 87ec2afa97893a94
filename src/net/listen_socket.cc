#include "net/listen_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

namespace msearch::net {
namespace {

constexpr int kBacklog = 1024;

Error BindError(const std::string& address, int error_number) {
  if (error_number == EADDRINUSE) return {Code::kConflict, address + ": address already in use"};
  if (error_number == EADDRNOTAVAIL) {
    return {Code::kInvalid, address + ": not an address of this machine"};
  }
  if (error_number == EACCES) {
    return {Code::kPermission, address + ": not allowed to listen there"};
  }
  return ErrnoError(address, error_number);
}

}  // namespace

Result<Fd> ListenOn(const std::string& host, uint16_t port) {
  std::string address = host + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* raw = nullptr;
  int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw);
  if (status != 0) return Error{Code::kInvalid, address + ": " + gai_strerror(status)};
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(raw, freeaddrinfo);

  Fd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError(address, errno);
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0) return BindError(address, errno);
  if (listen(fd.get(), kBacklog) != 0) return BindError(address, errno);
  return fd;
}

uint16_t BoundPort(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(bound).sin_port);
}

}  // namespace msearch::net
