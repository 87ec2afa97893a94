// What clients and child processes send.

#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "net/byte_range.h"
#include "net/multipart.h"
#include "net/request_target.h"
#include "targets.h"

namespace msearch::fuzz {
namespace {

void Multipart(std::string_view bytes) {
  static const TemporaryDirectory scratch;
  auto reader =
      net::MultipartReader::Start("multipart/form-data; boundary=b",
                                  {.memory_bytes_max = 64, .spool_directory = scratch.path()});
  if (!reader.ok()) __builtin_trap();
  // In two pieces, so that boundaries are cut.
  const size_t half = bytes.size() / 2;
  if (!reader->Feed(bytes.substr(0, half)).ok() || !reader->Feed(bytes.substr(half)).ok()) return;
  const auto fields = reader->Finish();
  if (fields.ok()) (void)reader->TakeFiles();
}

void Header(std::string_view bytes) {
  (void)net::HeaderParameter(bytes, "name");
  (void)net::ParseCookies(bytes);
  (void)net::MultipartReader::Start(bytes, {});
}

void RequestTarget(std::string_view bytes) {
  (void)net::ParseRequestTarget(bytes);
  (void)net::ParseUrlEncoded(bytes);
}

void ByteRange(std::string_view bytes) {
  net::Request request;
  request.headers["range"] = bytes;
  request.headers["if-none-match"] = bytes;
  request.headers["if-range"] = bytes;
  for (const uint64_t size : {uint64_t{0}, uint64_t{10}, UINT64_MAX}) {
    const net::Selection selection = net::SelectBytes(request, "\"e\"", size);
    if (selection.offset > size || selection.size > size - selection.offset) __builtin_trap();
  }
}

void ChildFrame(std::string_view bytes) {
  int pair[2];
  if (bytes.size() > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return;
  const Fd writer(pair[0]);
  Channel channel{Fd(pair[1])};
  if (!WriteAll(writer.get(), bytes).ok()) return;
  shutdown(writer.get(), SHUT_WR);
  (void)channel.Receive(std::chrono::steady_clock::now() + Milliseconds(1000));
}

std::vector<std::string> Bodies() {
  return {
      "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b\r\n"
      "Content-Disposition: form-data; name=\"f\"; filename=\"g\"\r\n\r\n" +
      std::string(100, 'y') + "\r\n--b--\r\n"};
}
std::vector<std::string> Headers() {
  return {"form-data; name=\"a\\\"b\"; filename=c", "a=b; c=d", "multipart/form-data; boundary=x"};
}
std::vector<std::string> RequestTargets() { return {"/api/media/7%20a?size=2&q=%E5%9B%BE+b"}; }
std::vector<std::string> Ranges() { return {"bytes=0-4", "bytes=-3", "\"e\", W/\"f\", *"}; }
std::vector<std::string> Frames() {
  const Json head = {{"a", 1}};
  const std::string cbor = ToCbor(head);
  std::string frame("MSM1\1\0\0\0", 8);
  for (const uint64_t size : {uint64_t{cbor.size()}, uint64_t{3}}) {
    for (int i = 0; i < 8; ++i) frame += static_cast<char>(size >> (8 * i));
  }
  return {frame + cbor + "xyz"};
}

}  // namespace

std::vector<Target> NetTargets() {
  return {{"multipart", Multipart, Bodies},
          {"header", Header, Headers},
          {"request_target", RequestTarget, RequestTargets},
          {"byte_range", ByteRange, Ranges},
          {"child_frame", ChildFrame, Frames}};
}

}  // namespace msearch::fuzz
